# SPDX-License-Identifier: MIT
"""What is made from the run-time tables, and the few things that are written down by hand."""
import copy
import importlib.util
import os
import pickle
import re
import unittest

import numpy as np

import libdiffusion as dm
from libdiffusion import _library, _struct, _tables

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
HEADER = os.environ.get("LIBDIFFUSION_HEADER")  # diffusion.h, set by check.sh

KINDS = {"void": "void", "int32_t": "i32", "uint32_t": "u32", "uint64_t": "u64", "double": "f64",
         "size_t": "size"}


def kind(text, declaration):
    """The type of a declaration of the header in the words of _library.PROTOTYPES."""
    if "*" in declaration:
        return "str" if re.match(r"const char \*(?!const \*)", declaration) else "ptr"
    name = declaration.split()[0]
    if name in KINDS:
        return KINDS[name]
    if re.search(rf"typedef int32_t \(\*{name}\)", text):
        return "ptr"
    assert re.search(rf"typedef int32_t {name};", text), declaration
    return "i32"


class Tables(unittest.TestCase):
    def test_own_layout(self):
        members = _tables.MEMBERS["dm_member_info"]
        self.assertEqual([name for name, _ in _tables.MemberInfo._fields_], list(members))
        for name, member in members.items():
            field = getattr(_tables.MemberInfo, name)
            self.assertEqual((field.offset, field.size), (member.offset, member.element_size))

    def test_written_names_exist(self):
        for struct, arrays in {**_struct.ARRAYS, **_struct.RECORD_ARRAYS}.items():
            for name in arrays:
                self.assertEqual(_tables.MEMBERS[struct][name].type, "pointer")
        for struct, arrays in _struct.ARRAYS.items():
            for count, _ in arrays.values():
                self.assertEqual(_tables.MEMBERS[struct][count].type, "u64")
        for struct, names in _struct.WRITABLE.items():
            self.assertLessEqual(names.keys(), getattr(dm, _tables.camel(struct))._members.keys())
        for struct, functions in _struct.FUNCTIONS.items():
            for name in functions:
                self.assertEqual(_tables.MEMBERS[struct][name].type, "function")

    @unittest.skipUnless(HEADER, "LIBDIFFUSION_HEADER is not set")
    def test_prototypes_are_the_headers(self):
        with open(HEADER, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
        text = re.sub(r"\s+", " ", text)
        found = []
        for result, name, parameters in re.findall(
                r"DM_API ((?:const )?\w+ \*?)(dm_\w+)\(([^()]*)\);", text):
            kinds = [] if parameters == "void" else [
                kind(text, parameter.strip()) for parameter in parameters.split(",")]
            found.append(" ".join([name, kind(text, result), *kinds]))
        self.assertGreater(len(found), 120)
        self.assertEqual(found, _library.PROTOTYPES.strip().split("\n"))

    def test_stubs_are_current(self):
        path = os.path.join(FOLDER, "tools", "generate_stubs.py")
        spec = importlib.util.spec_from_file_location("generate_stubs", path)
        generator = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(generator)
        with open(os.path.join(FOLDER, "src", "libdiffusion", "_generated.pyi"),
                  encoding="utf-8") as file:
            self.assertEqual(file.read(), generator.generate(), "run tools/generate_stubs.py")

    def test_version(self):
        self.assertEqual(dm.__version__, dm.version())
        self.assertIn(dm.version(), dm.build_info())
        self.assertFalse(dm.feature("no such feature"))


class Enumerations(unittest.TestCase):
    def test_names_and_numbers(self):
        self.assertIs(dm.Solver("ddim"), dm.Solver.DDIM)
        self.assertIs(dm.Solver(dm.Solver.DDIM.value), dm.Solver.DDIM)
        self.assertEqual(f"{dm.Solver.DPMPP} {dm.Solver.DPMPP.text}", "dpmpp dpmpp")
        self.assertTrue(dm.Solver.DDIM.help)
        with self.assertRaisesRegex(ValueError, "'dmim' is no Solver; there are ddpm, ddim"):
            dm.Solver("dmim")
        self.assertIs(pickle.loads(pickle.dumps(dm.Solver.HEUN)), dm.Solver.HEUN)


class OptionClasses(unittest.TestCase):
    def test_defaults_are_the_tables(self):
        for struct, members in _tables.MEMBERS.items():
            if not hasattr(dm, _tables.camel(struct)):
                continue
            made = getattr(dm, _tables.camel(struct))
            if not issubclass(made, _struct.Options):
                continue
            options = made()
            for name, member in made._members.items():
                if member.default is None or member.type in ("pointer", "function"):
                    continue
                text = options.get(name)
                if member.length == 1 and not member.enumeration:
                    self.assertEqual(float(text), float(member.default), f"{struct}.{name}")
                elif member.enumeration:
                    self.assertEqual(text, member.default)
                self.assertIn(f"Default: {member.default}.", getattr(made, name).__doc__)

    def test_values(self):
        options = dm.UnetOptions(channels=[32, 64], prediction="eps", norm_eps=1e-5)
        self.assertEqual(options.channels[:3], (32, 64, 0))
        self.assertIs(options.prediction, dm.Prediction.EPS)
        self.assertEqual(options.norm_eps, 1e-5)
        options.mid_attention = False
        self.assertIs(options.mid_attention, False)
        options.levels = np.int64(2)
        self.assertEqual(repr(dm.UnetOptions(levels=2)), "UnetOptions(levels=2)")
        self.assertIn("channels", dm.UnetOptions.__doc__)
        self.assertEqual(dm.preset("ddpm_cifar10").prediction, dm.Prediction.EPS)

    def test_refusals(self):
        options = dm.UnetOptions()
        with self.assertRaisesRegex(TypeError, "no member 'levls'; did you mean 'levels'"):
            dm.UnetOptions(levls=2)
        with self.assertRaises(AttributeError):
            options.levls = 2
        for name, value in (("levels", 2.0), ("levels", "2"), ("levels", None), ("dropout", "1"),
                            ("channels", 32), ("channels", "32")):
            with self.assertRaises(TypeError, msg=f"{name} = {value!r}"):
                setattr(options, name, value)
        for name, value in (("levels", 1 << 31), ("channels", [32] * 9), ("prediction", "w"),
                            ("prediction", 77)):
            with self.assertRaises(ValueError, msg=f"{name} = {value!r}"):
                setattr(options, name, value)
        self.assertEqual(options, dm.UnetOptions())

    def test_by_name(self):
        options = dm.SamplerOptions()
        options.set("solver", "dpmpp")
        self.assertEqual((options.solver, options.get("solver")), (dm.Solver.DPMPP, "dpmpp"))
        with self.assertRaisesRegex(dm.InvalidArgument, "'steps' is 0") as caught:
            options.set("steps", "0")
        self.assertEqual(caught.exception.status_name, "DM_ERROR_INVALID_ARGUMENT")
        with self.assertRaisesRegex(dm.NotFound, "stepz"):
            options.set("stepz", "1")

    def test_copies(self):
        options = dm.SamplerRequest(labels=[0, 1, 2], seed=5)
        for other in (copy.copy(options), copy.deepcopy(options), options.replace(),
                      pickle.loads(pickle.dumps(options))):
            self.assertEqual(other, options)
        self.assertNotEqual(options.replace(seed=6), options)
        self.assertNotEqual(options.replace(labels=[0, 1, 1]), options)
        self.assertEqual(options.to_dict()["seed"], 5)

    def test_errors_are_builtin_ones_too(self):
        self.assertTrue(issubclass(dm.NotFound, FileNotFoundError))
        self.assertTrue(issubclass(dm.OutOfMemory, MemoryError))
        made = pickle.loads(pickle.dumps(dm.Cancelled(dm.Status.CANCELLED, "text")))
        self.assertEqual((type(made), made.status_name, str(made)),
                         (dm.Cancelled, "DM_ERROR_CANCELLED", "text"))


if __name__ == "__main__":
    unittest.main()
