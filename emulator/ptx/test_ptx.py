#!/usr/bin/env python3
"""Tests of the translator: what it reads, what it refuses, and how faults are planted."""

from __future__ import annotations

import unittest

from ptx_emit import Fault, Translation, host_name, translate
from ptx_parse import PtxError, parse
from ptx_table import Table, read_table

TABLE = Table(
    """\
add.s32 | u32 = u32 u32 | a + b | 1 2 = 3
mov.b64 | u64 = u32x2 | joined(a) | 1 2 = 0x200000001
mov.b64 | u64 = u64 | a | 1 = 1
ld.param.u32 | u32 = [param] | get<u32>(a) | 1 = 1
st.param.b32 | = [param] u32 | put(a, b) | 1 = 1
ld.shared.u32 | u32 = [shared] | load_shared<u32>(a) | 1 = 1
setp.lt.s32 | pred = s32 s32 | a < b | 1 2 = 1
add.rn.f32 | f32 = f32 f32 | a + b | 1 2 = 3
shfl.sync.up.b32 | u32+pred = u32 u32 u32 u32 | shuffle(a, b, c, d, SITE) | kernels
bra | = label | goto a | kernels
ret | = | return | kernels
wait | = | emu::wait() | kernels
"""
)
REGISTERS = ".reg .pred %p<3>;\n.reg .b32 %r<9>;\n.reg .f32 %f<3>;\n.reg .b64 %rd<3>;\n"


TWICE = """
.func (.param .b32 func_retval0) twice
(
.param .b32 twice_param_0
)
;
.func (.param .b32 func_retval0) twice(
.param .b32 twice_param_0
)
{
.reg .b32 %r<3>;
ld.param.u32 %r1, [twice_param_0];
add.s32 %r2, %r1, %r1;
st.param.b32 [func_retval0+0], %r2;
ret;
}
"""
CALL = """{ // callseq 0, 0
.reg .b32 temp_param_reg;
.param .b32 param0;
st.param.b32 [param0+0], %r1;
.param .b32 retval0;
call.uni (retval0),
twice,
(
param0
);
ld.param.u32 %r2, [retval0+0];
} // callseq 0
"""


def kernel(body: str, parameters: str = ".param .u32 k_param_0", before: str = "") -> str:
    return f"{before}\n.visible .entry k(\n{parameters}\n)\n.maxntid 32\n{{\n{REGISTERS}{body}\n}}\n"


def of(body: str, *faults: Fault, **more: str) -> Translation:
    return translate(kernel(body, **more), "k.ptx", TABLE, faults)


def line(body: str) -> str:
    """The last statement in C++."""
    return of(body).code.split("\n}\n")[0].splitlines()[-1]


class Reads(unittest.TestCase):
    def test_operands(self) -> None:
        self.assertEqual(line("add.s32 %r1, %r2, -1;"), "r1_ = r2_ + (u32)0xffffffffu;")
        self.assertEqual(line("setp.lt.s32 %p1, %r2, 7;"), "p1_ = (s32)r2_ < (s32)0x7u;")
        self.assertEqual(line("add.rn.f32 %f1, %f2, 0f3F800000;"), "f1_ = bits_of((f32)(as_f32(f2_) + as_f32(0x3f800000u)));")
        self.assertEqual(line("add.s32 %r1, %tid.x, %ctaid.y;"), "r1_ = (u32)threadIdx.x + (u32)blockIdx.y;")

    def test_a_smaller_result_is_extended_by_its_type(self) -> None:
        table = Table("cvt.s32 | s32 = s32 | a | 1 = 1")
        text = translate(kernel("cvt.s32 %rd1, %r1;"), "k.ptx", table).code
        self.assertIn("rd1_ = (u64)(s32)((s32)r1_);", text)

    def test_vectors_choose_the_line(self) -> None:
        self.assertEqual(line("mov.b64 %rd1, {%r1, %r2};"), "rd1_ = joined(u32x2{r1_, r2_});")
        self.assertEqual(line("mov.b64 %rd1, %rd2;"), "rd1_ = rd2_;")

    def test_guards_labels_and_scopes(self) -> None:
        code = of("$L__1: { .reg .b32 tmp; add.s32 tmp, %r1, 1; }\n@!%p1 bra $L__1;").code
        self.assertIn("_L__1:;", code)
        self.assertIn("u32 tmp_;", code)
        self.assertIn("if (!p1_) { goto _L__1; }", code)

    def test_two_results(self) -> None:
        text = line("shfl.sync.up.b32 %r1|%p1, %r2, 1, 0, -1;")
        self.assertIn("r1_ = q.data; p1_ = q.flag;", text)
        self.assertIn('"k.ptx", 11', text)

    def test_parameters_are_aligned(self) -> None:
        code = of("ret;", parameters=".param .u32 k_param_0,\n.param .align 8 .b8 k_param_1[24]").code
        self.assertIn("{{0, 4}, {8, 24}}", code)

    def test_shared_arrays_of_the_module_and_the_launch(self) -> None:
        before = ".shared .align 16 .b8 part[64];\n.extern .shared .align 128 .b8 all[];\n.shared .align 4 .b8 other[8];"
        code = of("ld.shared.u32 %r1, [part+8]; ld.shared.u32 %r2, [all];", before=before).code
        self.assertIn("shared_array(&key_part, 64)", code)
        self.assertIn("shared_all = shared_of_launch()", code)
        self.assertNotIn("other", code)

    def test_functions(self) -> None:
        code = translate(kernel(CALL) + TWICE, "k.ptx", TABLE).code
        self.assertIn("static void function_1(u64 func_retval0_, u64 twice_param_0_);", code)
        self.assertIn("r1_ = get<u32>(((u64)twice_param_0_ + (u64)0x0ull));", code)
        self.assertIn("put(((u64)func_retval0_ + (u64)0x0ull), r2_);", code)
        self.assertIn("alignas(16) unsigned char param0_[4];", code)
        self.assertIn("function_1((u64)retval0_, (u64)param0_);", code)
        self.assertEqual(code.count("static const Kernel"), 1)

    def test_names_of_anonymous_namespaces(self) -> None:
        inner = "_GLOBAL__N__0a1b_2_x_cu_3"
        self.assertEqual(host_name(f"_ZN{len(inner)}{inner}4stepINS_3F32EEEvi"), "_ZN12_GLOBAL__N_14stepINS_3F32EEEvi")
        self.assertEqual(host_name("_Z4stepi"), "_Z4stepi")

    def test_lines_survive_comments(self) -> None:
        statement = [s for s in parse(kernel("/* one\ntwo */ // three\nret;"))[0].statements if s.opcode][0]
        self.assertEqual((statement.opcode, statement.line), ("ret", 13))


class Refuses(unittest.TestCase):
    def refuses(self, body: str, words: str, **more: str) -> None:
        with self.assertRaisesRegex(PtxError, words):
            of(body, **more)

    def test_unknown_instructions(self) -> None:
        self.refuses("add.s32 %r1, %r2, %r3;\nfrobnicate.b32 %r1;", r"k.ptx:12: no line of opcodes.txt serves frobnicate")

    def test_known_instructions_with_other_operands(self) -> None:
        self.refuses("add.s32 %r1, %r2;", "no line")
        self.refuses("add.s32 {%r1, %r2}, %r2, %r1;", "no line")

    def test_operands_that_are_no_values(self) -> None:
        self.refuses("add.s32 %r1, %r2, table;", "operand table")
        self.refuses("add.s32 %r1, %r2, %p1;", "operand %p1")
        self.refuses("add.s32 %p1, %r2, 1;", "result %p1")
        self.refuses("add.s32 %r1, %r2, %clock;", "special register %clock")
        self.refuses("add.rn.f32 %f1, %f2, 1;", "operand 1 as f32")

    def test_directives_and_parameters(self) -> None:
        self.refuses(".local .align 4 .b8 depot[8];", "directive")
        self.refuses("ret;", "type texref", parameters=".param .texref k_param_0")

    def test_calls_out_of_the_module(self) -> None:
        self.refuses(CALL, "a call of twice, which is no function of the module")

    def test_lines_of_the_table(self) -> None:
        for text in ("add | u32 u32 | a", "add | u33 = u32 | a | 1 = 1"):
            with self.assertRaises(PtxError):
                Table(text)


class Faults(unittest.TestCase):
    def test_left_out_and_changed(self) -> None:
        out = of("wait;\nadd.s32 %r1, %r2, %r3;", Fault("gone", "k", r"^wait$", ""), Fault("swapped", "k", "%r2, %r3", "%r3, %r2"))
        self.assertIn("if (fault_gone) {  } else { emu::wait(); }", out.code)
        self.assertIn("if (fault_swapped) { r1_ = r3_ + r2_; } else { r1_ = r2_ + r3_; }", out.code)
        self.assertEqual(out.planted, {"gone", "swapped"})

    def test_only_in_the_kernels_named(self) -> None:
        self.assertEqual(of("wait;", Fault("gone", "other", "wait", "")).planted, set())


class TheTable(unittest.TestCase):
    def test_has_a_test_on_every_line(self) -> None:
        for form in read_table().forms:
            self.assertTrue(form.test == "kernels" or "=" in form.test, form.opcode)

    def test_has_every_line_once(self) -> None:
        keys = [(form.opcode, form.result, form.operands) for form in read_table().forms]
        self.assertEqual(len(keys), len(set(keys)))


if __name__ == "__main__":
    unittest.main()
