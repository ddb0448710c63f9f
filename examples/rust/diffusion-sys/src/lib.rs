// SPDX-License-Identifier: MIT
//! Declarations of libdiffusion's C interface, with the C names.
//!
//! Every type, constant and function of `diffusion.h` is here; that header is the reference
//! manual. The declarations are generated from it (see `generate/sys.py` of the repository), and
//! the tests compare every layout and every value with the tables of the linked library. The
//! package `diffusion` is the safe interface.
#![allow(non_camel_case_types)]
#![deny(missing_docs)]

#[rustfmt::skip] // generated
mod bindings;

pub use bindings::*;
