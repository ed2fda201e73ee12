//! A small assembler for eBPF (RFC 9669): the instructions our program uses, and labels.

/// A register. R0 holds results, R1 to R5 arguments, R6 to R9 survive calls, R10 is the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reg {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R4 = 4,
    R5 = 5,
    R6 = 6,
    R7 = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
}

/// How much memory an instruction touches (RFC 9669 §5.1, bits of the opcode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Width {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// When a jump is taken; numbers compare without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum If {
    Equal = 0x10,
    Greater = 0x20,
    NotEqual = 0x50,
}

/// A place that jumps name before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// One instruction as the kernel reads it (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Opcodes: class | source | operation (RFC 9669 §3).
const LOAD_IMMEDIATE: u8 = 0x18;
const LOAD: u8 = 0x61;
const STORE_REGISTER: u8 = 0x63;
const STORE_IMMEDIATE: u8 = 0x62;
const SIZE_MASK: u8 = 0x18;
const MOVE_IMMEDIATE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const ADD_IMMEDIATE: u8 = 0x07;
const AND_IMMEDIATE: u8 = 0x57;
const JUMP: u8 = 0x05;
const JUMP_32: u8 = 0x06;
const WITH_REGISTER: u8 = 0x08;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// In the source register of a wide load: the number is a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;

/// A program being written.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A label to jump to, bound later.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds a label to the next instruction.
    pub(crate) fn bind(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// `to = *(width *)(from + offset)`
    pub(crate) fn load(&mut self, width: Width, to: Reg, from: Reg, offset: i16) {
        self.push((LOAD & !SIZE_MASK) | width as u8, to, from as u8, offset, 0);
    }

    /// `*(width *)(to + offset) = from`
    pub(crate) fn store(&mut self, width: Width, to: Reg, offset: i16, from: Reg) {
        let code = (STORE_REGISTER & !SIZE_MASK) | width as u8;
        self.push(code, to, from as u8, offset, 0);
    }

    /// `*(width *)(to + offset) = number`
    pub(crate) fn store_number(&mut self, width: Width, to: Reg, offset: i16, number: i32) {
        let code = (STORE_IMMEDIATE & !SIZE_MASK) | width as u8;
        self.push(code, to, 0, offset, number);
    }

    /// `to = number`
    pub(crate) fn set(&mut self, to: Reg, number: i32) {
        self.push(MOVE_IMMEDIATE, to, 0, 0, number);
    }

    /// `to = from`
    pub(crate) fn copy(&mut self, to: Reg, from: Reg) {
        self.push(MOVE_REGISTER, to, from as u8, 0, 0);
    }

    /// `to += number`
    pub(crate) fn add(&mut self, to: Reg, number: i32) {
        self.push(ADD_IMMEDIATE, to, 0, 0, number);
    }

    /// `to &= number`
    pub(crate) fn and(&mut self, to: Reg, number: i32) {
        self.push(AND_IMMEDIATE, to, 0, 0, number);
    }

    /// `to = map`, by descriptor; takes the place of two instructions.
    pub(crate) fn set_map(&mut self, to: Reg, descriptor: i32) {
        self.push(LOAD_IMMEDIATE, to, PSEUDO_MAP_FD, 0, descriptor);
        self.push(0, Reg::R0, 0, 0, 0);
    }

    /// Goes on at `label`.
    pub(crate) fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(JUMP, Reg::R0, 0, 0, 0);
    }

    /// Goes on at `label` if the lower 32 bits of `left` compare so with `right`.
    pub(crate) fn jump_if(&mut self, left: Reg, when: If, right: u32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(JUMP_32 | when as u8, left, 0, 0, right.cast_signed());
    }

    /// Goes on at `label` if the registers compare so.
    pub(crate) fn jump_if_register(&mut self, left: Reg, when: If, right: Reg, label: Label) {
        self.jumps.push((self.code.len(), label));
        let code = JUMP | WITH_REGISTER | when as u8;
        self.push(code, left, right as u8, 0, 0);
    }

    /// Goes on at `label` if the whole register is zero: a null pointer.
    pub(crate) fn jump_if_null(&mut self, pointer: Reg, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(JUMP | If::Equal as u8, pointer, 0, 0, 0);
    }

    /// Calls a helper of the kernel by number.
    pub(crate) fn call(&mut self, helper: i32) {
        self.push(CALL, Reg::R0, 0, 0, helper);
    }

    /// Ends the program; the result is R0.
    pub(crate) fn exit(&mut self) {
        self.push(EXIT, Reg::R0, 0, 0, 0);
    }

    /// The instructions with all jumps resolved; `None` when a label is unbound or too far away.
    pub(crate) fn finish(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            // A jump is relative to the instruction after it.
            let target = i64::try_from(self.labels[label.0]?).ok()?;
            let next = i64::try_from(at + 1).ok()?;
            self.code[at].offset = i16::try_from(target - next).ok()?;
        }
        Some(self.code)
    }

    fn push(&mut self, code: u8, to: Reg, from: u8, offset: i16, immediate: i32) {
        // Two bit fields of four; a big-endian compiler lays them out the other way round.
        let registers = if cfg!(target_endian = "little") {
            to as u8 | from << 4
        } else {
            (to as u8) << 4 | from
        };
        self.code.push(Instruction {
            code,
            registers,
            offset,
            immediate,
        });
    }
}

#[cfg(test)]
mod tests;
