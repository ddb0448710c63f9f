# SPDX-License-Identifier: MIT
"""The package's version, that of the header it was written for."""
VERSION = "0.9.0"
