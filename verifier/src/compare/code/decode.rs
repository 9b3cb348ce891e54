// SPDX-License-Identifier: Apache-2.0
//! Bytes to instructions as text: x86 as the GNU assembler writes it, AArch64 as its maker does.

use std::collections::BTreeMap;
use std::io;

use iced_x86::{Decoder, DecoderOptions, Formatter as _, GasFormatter, OpKind};
use yaxpeax_arch::{Decoder as _, U8Reader};
use yaxpeax_arm::armv8::a64::{InstDecoder, Opcode, Operand};

use super::super::source::{Source, Span};
use super::super::{archive, preview};
use super::{Code, Machine, Region};

/// What stands for bytes that are no instruction.
const BAD: &str = "(bad)";
/// The most bytes of an instruction of x86.
const LONGEST: usize = 15;
/// How many bytes are read at one time to find where an instruction begins.
const CHUNK: u64 = 64 << 10;

/// One instruction.
pub(super) struct Instruction {
    /// Where it begins, from the start of the section.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    /// As it is shown.
    pub(super) text: String,
    /// The same with the place in full that it leads to, where that is outside of the function: its bytes say how far away
    /// that is, which depends on where it stands.
    pub(super) leads: Option<String>,
}

impl Instruction {
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn with_bytes(&self) -> String {
        format!("{} ({})", self.text, preview::hexadecimal(&self.bytes))
    }
}

/// Where a window is.
pub(super) struct Place<'a> {
    pub(super) code: &'a Code,
    /// Which of the functions of one name each is: see [`super::regions::occurrences`].
    pub(super) occurrences: &'a BTreeMap<u64, u32>,
    pub(super) region: Region,
    pub(super) section: &'a str,
}

impl Place<'_> {
    /// The address of what is at this offset in the section.
    pub(super) fn address(&self, offset: u64) -> u64 {
        self.code.address.wrapping_add(offset)
    }

    /// An offset in the section as people read it: in which function, and the address.
    pub(super) fn at(&self, offset: u64) -> String {
        let (name, by) = match &self.region.name {
            Some(name) => (self.named(name, self.region.start), offset.saturating_sub(self.region.start)),
            None => (self.section.to_owned(), offset),
        };
        format!("{name}+{by:#x} ({:#x})", self.address(offset))
    }

    /// The name of the function that begins at `start`; of two with one name, the second is `name#2`.
    fn named(&self, name: &[u8], start: u64) -> String {
        archive::name(&(name.to_vec(), self.occurrences.get(&start).copied().unwrap_or_default()))
    }

    /// What an instruction leads to, in two parts, of which the second tells it from what is only called so; and whether that
    /// is outside of the function.
    fn target(&self, address: u64) -> (String, String, bool) {
        let offset = address.wrapping_sub(self.code.address);
        let is_outside = !(self.region.start..self.region.end).contains(&offset);
        let named = archive::symbol_at(&self.code.symbols, offset).map(|symbol| {
            let (name, by) = (self.named(&symbol.name, symbol.start), offset - symbol.start);
            let which = format!("\0{}+{by}", self.occurrences.get(&symbol.start).copied().unwrap_or_default());
            (if by == 0 { name } else { format!("{name}+{by:#x}") }, which)
        });
        let (name, which) = named.unwrap_or_else(|| (format!("{address:#x}"), String::new()));
        (name, which, is_outside)
    }
}

/// The first instructions of `bytes`, which begin at the offset `start` of the section; `most` at most.
pub(super) fn instructions(place: &Place<'_>, start: u64, bytes: &[u8], most: usize) -> Vec<Instruction> {
    match place.code.machine {
        Machine::X86 => x86(32, place, start, bytes, most),
        Machine::X86_64 => x86(64, place, start, bytes, most),
        Machine::Arm64 => arm64(place, start, bytes, most),
    }
}

/// Where the instruction begins that the byte `at` is in, both from the start of `span` on, where one begins.
pub(super) fn start_of((source, place): (&Source<'_>, &Place<'_>), span: Span, at: u64) -> io::Result<u64> {
    let bits = match place.code.machine {
        Machine::X86 => 32,
        Machine::X86_64 => 64,
        Machine::Arm64 => return Ok(at & !3),
    };
    let mut start = 0;
    loop {
        let chunk = Span { start: span.start + start, len: (span.len - start).min(CHUNK) };
        let is_last = start + chunk.len == span.len;
        let bytes = source.read(chunk)?;
        let Ok(mut decoder) = Decoder::try_with_ip(bits, &bytes, 0, DecoderOptions::NONE) else { return Ok(start) };
        let begun = start;
        // None is cut at the end of the chunk.
        while decoder.position() + LONGEST <= bytes.len() || is_last && decoder.can_decode() {
            let next = start + step(&mut decoder).1 as u64;
            if next > at {
                return Ok(start);
            }
            start = next;
        }
        if start == begun {
            return Ok(start);
        }
    }
}

/// The next instruction of x86, and how many bytes it has; what is none has one, since the next byte may begin one.
fn step(decoder: &mut Decoder<'_>) -> (iced_x86::Instruction, usize) {
    let (at, ip) = (decoder.position(), decoder.ip());
    let found = decoder.decode();
    if !found.is_invalid() {
        return (found, found.len());
    }
    decoder.set_ip(ip.wrapping_add(1));
    // It is one of the bytes that there are.
    _ = decoder.set_position(at + 1);
    (found, 1)
}

fn x86(bits: u32, place: &Place<'_>, mut start: u64, bytes: &[u8], most: usize) -> Vec<Instruction> {
    let Ok(mut decoder) = Decoder::try_with_ip(bits, bytes, place.address(start), DecoderOptions::NONE) else {
        return Vec::new();
    };
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_uppercase_hex(false);
    options.set_small_hex_numbers_in_decimal(false);
    let mut all = Vec::new();
    let mut rest = bytes;
    while decoder.can_decode() && all.len() < most {
        let (found, len) = step(&mut decoder);
        let Some((own, after)) = rest.split_at_checked(len) else { break };
        rest = after;
        let (mut text, mut leads) = (String::new(), None);
        if found.is_invalid() {
            text.push_str(BAD);
        } else if matches!(found.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64) {
            let (target, which, is_outside) = place.target(found.near_branch_target());
            formatter.format_mnemonic(&found, &mut text);
            text = format!("{text} {target}");
            leads = is_outside.then(|| format!("{text}{which}"));
        } else {
            formatter.format(&found, &mut text);
            if found.is_ip_rel_memory_operand() {
                leads = Some(std::mem::take(&mut text));
                formatter.options_mut().set_rip_relative_addresses(true);
                formatter.format(&found, &mut text);
                formatter.options_mut().set_rip_relative_addresses(false);
                text = format!("{text} # {}", place.target(found.ip_rel_memory_address()).0);
            }
        }
        all.push(Instruction { start, bytes: own.to_vec(), text, leads });
        start += own.len() as u64;
    }
    all
}

fn arm64(place: &Place<'_>, start: u64, bytes: &[u8], most: usize) -> Vec<Instruction> {
    let decoder = InstDecoder::default();
    let of = |(start, own): (u64, &[u8])| {
        let bytes = own.to_vec();
        let found = decoder.decode(&mut U8Reader::new(own)).ok().filter(|_| own.len() == 4);
        let Some(found) = found else { return Instruction { start, bytes, text: BAD.to_owned(), leads: None } };
        let (mut text, mut leads) = (found.to_string(), None);
        let by = found.operands.iter().find_map(|each| if let Operand::PCOffset(by) = each { Some(*by) } else { None });
        // The distance is the last that is written.
        if let (Some(by), Some(before)) = (by, text.rfind('$').and_then(|at| text.get(..at))) {
            let from = place.address(start);
            let from = if found.opcode == Opcode::ADRP { from & !0xfff } else { from };
            let (target, which, is_outside) = place.target(from.wrapping_add_signed(by));
            text = format!("{before}{target}");
            leads = (is_outside || found.opcode == Opcode::ADRP).then(|| format!("{text}{which}"));
        }
        Instruction { start, bytes, text, leads }
    };
    (start..).step_by(4).zip(bytes.chunks(4)).take(most).map(of).collect()
}
