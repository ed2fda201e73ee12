//! From the bytes of a file to a table: each array is read where it will stay.

use std::io::Read;
use std::str::FromStr;
use std::sync::Arc;

use meridian_engine::class::{ClassTable, ClientClass, MAX_CLASSES};
use meridian_topology::Coordinates;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{
    ALIGN, About, CHECKSUM, CLASS_BYTES, FORMAT, HAS_ASN, HAS_COUNTRY, HAS_LOCATION, HEADER_BYTES,
    MAGIC, SECTIONS, Table, TableError, aligned, id_of,
};

/// Reads sections in order and sums everything up, padding included.
struct Sections<'r, R> {
    reader: &'r mut R,
    hasher: blake3::Hasher,
    /// How many bytes were read.
    position: usize,
    lengths: [usize; SECTIONS],
    next: usize,
}

impl<R: Read> Sections<'_, R> {
    /// The next section as an array of numbers.
    fn numbers<T>(&mut self, name: &'static str) -> Result<Vec<T>, TableError>
    where
        T: FromBytes + IntoBytes + Immutable + Copy + Default,
    {
        let length = self.lengths[self.next];
        self.next += 1;
        if !length.is_multiple_of(size_of::<T>()) {
            let problem = format!("{length} bytes are no whole number of elements");
            return Err(content(name, &problem));
        }
        let mut padding = [0; ALIGN];
        let padding = &mut padding[..aligned(self.position) - self.position];
        self.reader.read_exact(padding)?;
        self.hasher.update(padding);
        let mut numbers = vec![T::default(); length / size_of::<T>()];
        self.reader
            .read_exact(numbers.as_mut_slice().as_mut_bytes())?;
        self.hasher.update(numbers.as_slice().as_bytes());
        self.position += padding.len() + length;
        Ok(numbers)
    }
}

fn content(section: &'static str, problem: &(impl ToString + ?Sized)) -> TableError {
    TableError::Content {
        section,
        problem: problem.to_string(),
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut number = [0; N];
    number.copy_from_slice(&bytes[at..at + N]);
    number
}

/// Reads a table of `length` bytes.
pub(super) fn read(reader: &mut impl Read, length: u64) -> Result<Table, TableError> {
    let mut header = [0; HEADER_BYTES];
    if length < HEADER_BYTES as u64 {
        return Err(TableError::Magic);
    }
    reader.read_exact(&mut header)?;
    if header[..8] != MAGIC {
        return Err(TableError::Magic);
    }
    let format = u32::from_le_bytes(number(&header, 8));
    if format != FORMAT {
        return Err(TableError::Format { found: format });
    }
    let said = u64::from_le_bytes(number(&header, 16));
    if said != length {
        return Err(TableError::Length { said, is: length });
    }
    let lengths = section_lengths(&header, length)?;
    let mut hasher = blake3::Hasher::new();
    let checksum = header[CHECKSUM].to_vec();
    header[CHECKSUM].fill(0);
    hasher.update(&header);
    let mut sections = Sections {
        reader,
        hasher,
        position: HEADER_BYTES,
        lengths,
        next: 0,
    };
    let raw = Raw::read(&mut sections)?;
    if sections.hasher.finalize().as_bytes()[..] != checksum[..] {
        return Err(TableError::Checksum);
    }
    let (classes, about) = raw.validate()?;
    let built_unix_seconds = u64::from_le_bytes(number(&header, 24));
    Ok(Table {
        classes: Arc::new(classes),
        about: About {
            built_unix_seconds,
            ..about
        },
        id: Some(id_of(&checksum)),
        bytes: length,
    })
}

/// The lengths of the sections, which must lie in order, each at the first multiple of [`ALIGN`] behind
/// the one before, and fill the file: then no length is larger than the file.
fn section_lengths(header: &[u8], length: u64) -> Result<[usize; SECTIONS], TableError> {
    let wrong = || content("sections", "they do not follow each other");
    let count = u32::from_le_bytes(number(header, 12));
    if count as usize != SECTIONS {
        return Err(content(
            "sections",
            &format!("{count} of them, not {SECTIONS}"),
        ));
    }
    let mut lengths = [0; SECTIONS];
    let mut end = HEADER_BYTES as u64;
    for (at, slot) in lengths.iter_mut().enumerate() {
        let offset = u64::from_le_bytes(number(header, 64 + at * 16));
        let bytes = u64::from_le_bytes(number(header, 72 + at * 16));
        if offset != end.next_multiple_of(ALIGN as u64) {
            return Err(wrong());
        }
        end = offset
            .checked_add(bytes)
            .filter(|end| *end <= length)
            .ok_or_else(wrong)?;
        *slot = usize::try_from(bytes).map_err(|_| wrong())?;
    }
    if end == length {
        Ok(lengths)
    } else {
        Err(wrong())
    }
}

/// The sections, read and not yet believed.
struct Raw {
    about: Vec<u8>,
    classes: Vec<u8>,
    names: Vec<u32>,
    text: Vec<u8>,
    v4: (Vec<u32>, Vec<u16>),
    v6: (Vec<u128>, Vec<u16>),
}

impl Raw {
    fn read(sections: &mut Sections<'_, impl Read>) -> Result<Self, TableError> {
        Ok(Self {
            about: sections.numbers("notes")?,
            classes: sections.numbers("classes")?,
            names: sections.numbers("names")?,
            text: sections.numbers("names")?,
            v4: (
                sections.numbers("IPv4 ranges")?,
                sections.numbers("IPv4 ranges")?,
            ),
            v6: (
                sections.numbers("IPv6 ranges")?,
                sections.numbers("IPv6 ranges")?,
            ),
        })
    }

    fn validate(mut self) -> Result<(ClassTable, About), TableError> {
        // Nothing happens here where numbers are little-endian already.
        self.names.iter_mut().for_each(|it| *it = u32::from_le(*it));
        self.v4.0.iter_mut().for_each(|it| *it = u32::from_le(*it));
        self.v4.1.iter_mut().for_each(|it| *it = u16::from_le(*it));
        self.v6.0.iter_mut().for_each(|it| *it = u128::from_le(*it));
        self.v6.1.iter_mut().for_each(|it| *it = u16::from_le(*it));
        let about = serde_json::from_slice(&self.about).map_err(|e| content("notes", &e))?;
        let (records, rest) = self.classes.as_chunks::<CLASS_BYTES>();
        if !rest.is_empty() || records.is_empty() || records.len() > MAX_CLASSES {
            let problem = format!("not 1 to {MAX_CLASSES} records of {CLASS_BYTES} bytes");
            return Err(content("classes", &problem));
        }
        let text = std::str::from_utf8(&self.text).map_err(|e| content("names", &e))?;
        let names = Names {
            offsets: &self.names,
            text,
        };
        let classes: Vec<ClientClass> = records
            .iter()
            .map(|record| class(record, &names))
            .collect::<Result<_, _>>()?;
        if classes[0] != ClientClass::default() {
            return Err(content("classes", "the first is not the unknown client"));
        }
        let table = ClassTable::from_ranges(classes, self.v4, self.v6);
        Ok((table.map_err(|e| content("ranges", &e))?, about))
    }
}

struct Names<'f> {
    offsets: &'f [u32],
    text: &'f str,
}

impl Names<'_> {
    /// A name by its number; 0 is none.
    fn get<T: FromStr>(&self, number: u32) -> Result<Option<T>, TableError>
    where
        T::Err: std::fmt::Display,
    {
        let Some(at) = number.checked_sub(1) else {
            return Ok(None);
        };
        let at = at as usize;
        let range = match (self.offsets.get(at), self.offsets.get(at + 1)) {
            (Some(start), Some(end)) => *start as usize..*end as usize,
            _ => return Err(content("names", &format!("there is no number {number}"))),
        };
        let Some(name) = self.text.get(range) else {
            return Err(content("names", &format!("number {number} lies outside")));
        };
        name.parse().map(Some).map_err(|e| content("names", &e))
    }
}

fn class(record: &[u8; CLASS_BYTES], names: &Names<'_>) -> Result<ClientClass, TableError> {
    let degrees = |at| f64::from_le_bytes(number(record, at));
    let word = |at| u32::from_le_bytes(number(record, at));
    let flags = u16::from_le_bytes(number(record, 34));
    let has = |flag| flags & flag != 0;
    let location = has(HAS_LOCATION).then(|| Coordinates::new(degrees(0), degrees(8)));
    let country = has(HAS_COUNTRY).then(|| {
        let code = std::str::from_utf8(&record[32..34]).map_err(|e| content("classes", &e))?;
        code.parse().map_err(|e| content("classes", &e))
    });
    Ok(ClientClass {
        country: country.transpose()?,
        location: location.transpose().map_err(|e| content("classes", &e))?,
        asn: has(HAS_ASN).then(|| word(16)),
        provider: names.get(word(20))?,
        region: names.get(word(24))?,
        group: names.get(word(28))?,
    })
}
