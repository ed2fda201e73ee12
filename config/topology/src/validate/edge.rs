//! Edge nodes.

use std::collections::BTreeMap;

use super::Checker;
use crate::door::{Code, Mistake, Source, Span};
use crate::ids::ZoneId;
use crate::model::{Dpdk, EdgeNode, Interface, SrIov};
use crate::raw::{RawDpdk, RawEdgeNode, RawInterface};

/// The longest interface name of Linux: IFNAMSIZ without its final zero.
const MAX_INTERFACE_NAME: usize = 15;
/// The most queue pairs of one interface.
const MAX_QUEUES: u16 = 64;
/// The most virtual functions of one interface (PCI SR-IOV's common limit).
const MAX_VIRTUAL_FUNCTIONS: u16 = 256;

impl Checker {
    pub(super) fn edge_node(&mut self, source: &Source, raw: &RawEdgeNode) -> Option<EdgeNode> {
        let id = self.field(source, &raw.id).cloned();
        let region = self.region_ref(source, &raw.region);
        let kind = self.field(source, &raw.kind).copied();
        let zone = self.node_zone(source, raw);
        let address = self.optional(source, raw.address.as_ref());
        let capabilities = self.set(source, &raw.capabilities);
        let interfaces = self.interfaces(source, &raw.interfaces);
        let capacity = self.optional(source, raw.capacity.as_ref());
        Some(EdgeNode {
            id: id?,
            region: region?,
            zone: zone?,
            kind: kind?,
            address: address?,
            capabilities,
            interfaces,
            capacity: capacity?,
        })
    }

    fn node_zone(&mut self, source: &Source, raw: &RawEdgeNode) -> Option<Option<ZoneId>> {
        let region = raw.region.get()?;
        // An unknown region is reported already; its zones say nothing more.
        let zones = self.names.zones.get(region)?.clone();
        self.zone_ref(source, raw.zone.as_ref(), (region.as_str(), &zones))
    }

    fn interfaces(&mut self, source: &Source, raw: &[RawInterface]) -> Vec<Interface> {
        let mut first: BTreeMap<String, Span> = BTreeMap::new();
        let mut interfaces = Vec::with_capacity(raw.len());
        for interface in raw {
            if let Some(name) = interface.name.get() {
                if let Some(span) = first.get(name) {
                    self.problems.report_related(
                        (source, interface.name.span),
                        Code::DUPLICATE_ID,
                        Mistake::new(format!("the interface `{name}` is declared twice"))
                            .help("rename one of the two"),
                        (source, *span, "first declared"),
                    );
                } else {
                    first.insert(name.clone(), interface.name.span);
                }
            }
            interfaces.extend(self.interface(source, interface));
        }
        interfaces.sort_by(|a, b| a.name.cmp(&b.name));
        interfaces
    }

    fn interface(&mut self, source: &Source, raw: &RawInterface) -> Option<Interface> {
        let name = self.field(source, &raw.name).cloned();
        let speed = self.field(source, &raw.speed).copied();
        let dpdk = match &raw.dpdk {
            Some(dpdk) => self.dpdk(source, dpdk).map(Some),
            None => Some(None),
        };
        let sriov = match &raw.sriov {
            Some(sriov) => {
                let bounds = (1, MAX_VIRTUAL_FUNCTIONS);
                self.bounded(source, Some(&sriov.virtual_functions), 1, bounds)
                    .map(|virtual_functions| Some(SrIov { virtual_functions }))
            }
            None => Some(None),
        };
        let name = name?;
        let legal = (1..=MAX_INTERFACE_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'/' && b != b':');
        if !legal {
            let mistake = Mistake::new(format!("`{name}` is not an interface name"))
                .help("1 to 15 characters without spaces, `/` and `:`, for example `eth0`");
            self.wrong(source, raw.name.span, Code::INVALID_VALUE, mistake);
            return None;
        }
        Some(Interface {
            name,
            speed: speed?,
            dpdk: dpdk?,
            sriov: sriov?,
        })
    }

    fn dpdk(&mut self, source: &Source, raw: &RawDpdk) -> Option<Dpdk> {
        let device = self.field(source, &raw.device).cloned();
        let queues = self.bounded(source, raw.queues.as_ref(), 1, (1, MAX_QUEUES));
        let device = device?;
        if !(is_pci_address(&device) || device.starts_with("net_")) {
            let mistake = Mistake::new(format!("`{device}` is not a device of DPDK"))
                .help("a PCI address such as `0000:3b:00.0`, or a virtual device `net_...`");
            self.wrong(source, raw.device.span, Code::INVALID_VALUE, mistake);
            return None;
        }
        Some(Dpdk {
            device,
            queues: queues?,
        })
    }
}

/// `domain:bus:device.function`, hexadecimal: `0000:3b:00.0`.
fn is_pci_address(text: &str) -> bool {
    let hex = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split([':', '.']).collect();
    matches!(parts[..], [domain, bus, device, function]
        if hex(domain, 4) && hex(bus, 2) && hex(device, 2) && hex(function, 1))
}
