# SPDX-License-Identifier: MIT
"""Prints the coverage of lib/ and src/ from gcov's JSON, and fails below the limits.

  report.py GCOV BUILD EXCEPTIONS [PART...]

BUILD has the objects of a counted build, EXCEPTIONS is the file exceptions.txt. With parts of file
names, the lines and branches of these files that no test ran are listed too.
"""

import glob
import json
import os
import subprocess
import sys

LINES_MIN = 0.98
BRANCHES_MIN = 0.90
# In these files every branch must be taken, except those of the exceptions.
COMPLETE = """
lib/base/system_posix.c lib/io/*.c
src/core/metadata.c src/core/structs.c src/core/text.c src/core/names.c src/core/enums.c
src/unet/options.c src/unet/file.c src/train/options.c src/train/checkpoint*.c
src/sample/options.c src/diffusion/schedule_options.c src/diffusion/schedule_file.c
""".split()


class Line:
    """A line over all objects: a kernel has one for each instruction set, a header many."""

    def __init__(self):
        self.function = ""
        self.count = 0
        self.variants = {}  # by their number: for each branch, whether any object took it

    def add(self, function, count, branches):
        self.function = self.function or function
        self.count += count
        if branches:
            known = self.variants.get(len(branches), [False] * len(branches))
            self.variants[len(branches)] = [a or b for a, b in zip(known, branches)]

    def branches(self):
        """Those of the objects that took most, where compilations differ in their number."""
        return max(self.variants.values(), key=lambda b: (sum(b) / len(b), len(b)), default=[])


def documents(gcov, build):
    notes = glob.glob(f"{glob.escape(build)}/obj/**/*.gcno", recursive=True)
    if not notes:
        sys.exit(f"coverage: no counted objects in {build}")
    for first in range(0, len(notes), 50):
        command = [gcov, "-b", "--json-format", "--stdout", *notes[first : first + 50]]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for text in run.stdout.decode().splitlines():
            yield json.loads(text)


def read(gcov, build):
    """{file: {line number: Line}}"""
    files = {}
    for document in documents(gcov, build):
        for entry in document["files"]:
            name = os.path.relpath(entry["file"])
            if not name.startswith(("lib/", "src/")):
                continue
            here = {}
            for line in entry["lines"]:
                of = here.setdefault(line["line_number"], [line.get("function_name", ""), 0, []])
                of[1] += line["count"]
                of[2] += [b["count"] > 0 for b in line["branches"] if not b["throw"]]
            lines = files.setdefault(name, {})
            for number, (function, count, branches) in here.items():
                lines.setdefault(number, Line()).add(function, count, branches)
    return files


def read_exceptions(path):
    """Each a list: file, function, part of the source line. The indented reason must follow."""
    exceptions, reasons = [], []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip() or text.startswith("#"):
                continue
            if text[0].isspace() and exceptions:
                reasons[-1] = text.strip()
                continue
            fields = [field.strip() for field in text.split(" :: ")]
            if len(fields) != 3 or not all(fields):
                sys.exit(f"{path}:{number}: it must be FILE :: FUNCTION :: TEXT")
            exceptions.append(fields)
            reasons.append("")
    for fields, reason in zip(exceptions, reasons):
        if not reason:
            sys.exit(f"{path}: there is no reason for {' :: '.join(fields)}")
    return exceptions


def matches(exception, name, function, text):
    return exception[0] == name and exception[1] == function and exception[2] in text


class Sum:
    def __init__(self):
        self.lines = self.lines_run = self.branches = self.branches_taken = 0

    def add(self, line):
        branches = line.branches()
        self.lines += 1
        self.lines_run += line.count > 0
        self.branches += len(branches)
        self.branches_taken += sum(branches)

    def parts(self):
        lines = self.lines_run / self.lines if self.lines else 1
        return lines, self.branches_taken / self.branches if self.branches else 1

    def show(self, name):
        lines, branches = self.parts()
        print(
            f"{name:<24} {self.lines_run:>6} of {self.lines:>6} {100 * lines:6.2f} %"
            f" {self.branches_taken:>6} of {self.branches:>6} {100 * branches:6.2f} %"
        )


def main():
    gcov, build, exceptions_path, *parts = sys.argv[1:]
    files = read(gcov, build)
    exceptions = read_exceptions(exceptions_path)
    complete = {name for pattern in COMPLETE for name in glob.glob(pattern)}
    used, failures = set(), []
    folders, total, strict = {}, Sum(), Sum()
    for name in sorted(files):
        with open(name, encoding="utf-8") as file:
            source = file.read().splitlines()
        listed = any(part in name for part in parts)
        for number, line in sorted(files[name].items()):
            text = source[number - 1].strip()
            branches = line.branches()
            total.add(line)
            folders.setdefault(os.path.dirname(name), Sum()).add(line)
            excused = False
            for index, exception in enumerate(exceptions):
                if matches(exception, name, line.function, text):
                    used.add(index)
                    excused = True
            missing = len(branches) - sum(branches)
            where = f"{name}:{number} {line.function}"
            if name in complete and not excused:
                strict.add(line)
                if missing:
                    failures.append(f"{where}: {missing} of {len(branches)} branches: {text}")
            if listed and line.count == 0:
                print(f"{where}: not run: {text}")
            elif listed and missing:
                taken = "".join("+" if branch else "-" for branch in branches)
                print(f"{where}: branches {taken}: {text}")
    print(f"{'folder':<24} {'lines run':>25} {'branches taken':>25}")
    for name in sorted(folders):
        folders[name].show(name)
    total.show("total")
    strict.show("complete files")
    for index, exception in enumerate(exceptions):
        if index not in used:
            failures.append(f"{exceptions_path}: no such line: {' :: '.join(exception)}")
    lines, branches = total.parts()
    if lines < LINES_MIN:
        failures.append(f"lines below {100 * LINES_MIN:g} %")
    if branches < BRANCHES_MIN:
        failures.append(f"branches below {100 * BRANCHES_MIN:g} %")
    for failure in failures:
        print(f"coverage: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


main()
