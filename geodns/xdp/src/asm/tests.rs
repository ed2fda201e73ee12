use super::{Assembler, If, Instruction, Reg, Width};

fn bytes(instruction: Instruction) -> (u8, u8, i16, i32) {
    let Instruction {
        code,
        registers,
        offset,
        immediate,
    } = instruction;
    (code, registers, offset, immediate)
}

/// Expected encodings are what `llvm-objdump` shows for the same instructions (RFC 9669).
#[test]
fn instructions_are_encoded_as_the_standard_says() {
    let mut asm = Assembler::default();
    let end = asm.label();
    asm.load(Width::Half, Reg::R5, Reg::R2, 12);
    asm.load(Width::Byte, Reg::R5, Reg::R2, 9);
    asm.load(Width::Double, Reg::R1, Reg::R0, 0);
    asm.store(Width::Double, Reg::R0, 0, Reg::R1);
    asm.store_number(Width::Word, Reg::R10, -4, 7);
    asm.set(Reg::R0, 2);
    asm.copy(Reg::R4, Reg::R2);
    asm.add(Reg::R4, 14);
    asm.and(Reg::R5, 0xff3f);
    asm.jump_if(Reg::R5, If::NotEqual, 0xffff_0000, end);
    asm.jump_if_register(Reg::R4, If::Greater, Reg::R3, end);
    asm.jump_if_null(Reg::R0, end);
    asm.jump(end);
    asm.set_map(Reg::R1, 5);
    asm.call(51);
    asm.bind(end);
    asm.exit();
    let code: Vec<_> = asm.finish().unwrap().into_iter().map(bytes).collect();
    let expected = [
        (0x69, 0x25, 12, 0),
        (0x71, 0x25, 9, 0),
        (0x79, 0x01, 0, 0),
        (0x7b, 0x10, 0, 0),
        (0x62, 0x0a, -4, 7),
        (0xb7, 0x00, 0, 2),
        (0xbf, 0x24, 0, 0),
        (0x07, 0x04, 0, 14),
        (0x57, 0x05, 0, 0xff3f),
        (0x56, 0x05, 6, -65_536),
        (0x2d, 0x34, 5, 0),
        (0x15, 0x00, 4, 0),
        (0x05, 0x00, 3, 0),
        (0x18, 0x11, 0, 5),
        (0x00, 0x00, 0, 0),
        (0x85, 0x00, 0, 51),
        (0x95, 0x00, 0, 0),
    ];
    assert_eq!(code, expected);
}

#[test]
fn a_label_nobody_bound_is_no_program() {
    let mut asm = Assembler::default();
    let nowhere = asm.label();
    asm.jump(nowhere);
    assert!(asm.finish().is_none());
}
