# SPDX-License-Identifier: MIT
"""Compares a file of npz_write() with the arrays that test_npz.c wrote, as NumPy reads them.

check_npz.py FILE COUNT HEIGHT WIDTH CHANNELS LABELS(0 or 1)
"""

import sys

import numpy as np


def main():
    path = sys.argv[1]
    count, height, width, channels, has_labels = map(int, sys.argv[2:7])
    elements = count * height * width * channels
    want = (np.arange(elements) * 7 % 251).astype(np.uint8)
    want = want.reshape(count, height, width, channels)
    want = np.broadcast_to(want, (count, height, width, 3))
    with np.load(path, allow_pickle=False) as file:
        assert sorted(file.files) == ["arr_0", "arr_1"][: 1 + has_labels], file.files
        pictures = file["arr_0"]
        assert pictures.dtype == np.uint8 and pictures.shape == want.shape, pictures.shape
        assert np.array_equal(pictures, want)
        if has_labels:
            labels = file["arr_1"]
            assert labels.dtype == np.int64 and labels.shape == (count,), labels.dtype
            assert np.array_equal(labels, np.arange(count) * 1000003 - 5)


if __name__ == "__main__":
    main()
