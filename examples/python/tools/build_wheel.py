#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a wheel of the package with a shared library in it.  build_wheel.py LIBRARY PLATFORM OUT

Two calls with the same files write the same bytes."""
import base64
import hashlib
import os
import re
import sys
import zipfile

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PACKAGE = os.path.join(FOLDER, "src", "libdiffusion")


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def setting(text, name):
    """A string of pyproject.toml; tomllib is not in every Python that this supports."""
    return re.search(rf'^{name} = "(.*)"$', text, re.M).group(1)


def metadata(project, version):
    lines = ["Metadata-Version: 2.1", "Name: libdiffusion", f"Version: {version}",
             f"Summary: {setting(project, 'description')}", "License: MIT",
             f"Requires-Python: {setting(project, 'requires-python')}", "Requires-Dist: numpy"]
    for extra, package in (("progress", "tqdm"), ("pictures", "Pillow")):
        lines += [f"Provides-Extra: {extra}", f'Requires-Dist: {package}; extra == "{extra}"']
    lines += ["Description-Content-Type: text/markdown", "", read(FOLDER, "README.md").decode()]
    return "\n".join(lines).encode()


def main():
    library, platform, out = sys.argv[1:]
    version = re.search(r'^VERSION = "(.*)"$', read(PACKAGE, "_version.py").decode(), re.M).group(1)
    project = read(FOLDER, "pyproject.toml").decode()
    tag = f"py3-none-{platform}"
    info = f"libdiffusion-{version}.dist-info"
    files = {f"libdiffusion/{name}": read(PACKAGE, name) for name in sorted(os.listdir(PACKAGE))
             if name.endswith((".py", ".pyi", ".typed"))}
    files["libdiffusion/libdiffusion.so"] = read(library)
    files[f"{info}/METADATA"] = metadata(project, version)
    files[f"{info}/WHEEL"] = ("Wheel-Version: 1.0\nGenerator: build_wheel\n"
                              f"Root-Is-Purelib: false\nTag: {tag}\n").encode()
    files[f"{info}/top_level.txt"] = b"libdiffusion\n"
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()

    path = os.path.join(out, f"libdiffusion-{version}-{tag}.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o100755 if name.endswith(".so") else 0o100644
            entry.external_attr = mode << 16
            wheel.writestr(entry, data)
    print(path)


if __name__ == "__main__":
    main()
