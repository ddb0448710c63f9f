// SPDX-License-Identifier: MIT
//! The form of every enumeration: a value that a program can only take from the constants, from
//! names the library knows, or from the library itself. So it is never invalid as an input, and
//! values of a later library survive as outputs.
use crate::{Error, Result};
use std::ffi::{CStr, CString};
use std::os::raw::c_char;

macro_rules! enumeration {
    ($(#[$about:meta])* $name:ident, $c_name:literal, {
        $($(#[$doc:meta])* $constant:ident = $value:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) i32);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The number that stands for it in C and in files.
            pub fn value(self) -> i32 {
                self.0
            }

            /// Its name as an option's text; None if the linked library does not know it.
            pub fn name(self) -> Option<&'static str> {
                crate::enumeration::name(concat!($c_name, "\0"), self.0)
            }

            /// One line about it; None if the linked library does not know it.
            pub fn help(self) -> Option<&'static str> {
                crate::enumeration::help(concat!($c_name, "\0"), self.0)
            }

            /// All values that the linked library knows.
            pub fn all() -> Vec<Self> {
                crate::enumeration::all(concat!($c_name, "\0")).into_iter().map(Self).collect()
            }
        }

        /// From a name, as [`name`](Self::name) gives it.
        impl std::str::FromStr for $name {
            type Err = crate::Error;
            fn from_str(text: &str) -> crate::Result<Self> {
                crate::enumeration::parse(concat!($c_name, "\0"), text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

include!("enums.rs");

impl Weights {
    /// The EMA of the trainer's `ema_decay[index]` or `ema_half_life[index]`, index from 0 to 3.
    pub fn ema(index: usize) -> Option<Weights> {
        (index < crate::EMA_MAX).then(|| Weights(Weights::EMA.0 + index as i32))
    }
}

/// A string with static storage of the library.
///
/// # Safety
/// `pointer` is NULL or such a string.
pub(crate) unsafe fn static_text(pointer: *const c_char) -> Option<&'static str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL, so a string that is never freed.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}

fn c_name(name: &'static str) -> *const c_char {
    debug_assert!(name.ends_with('\0'));
    name.as_ptr().cast()
}

fn name(enumeration: &'static str, value: i32) -> Option<&'static str> {
    // SAFETY: a string with a final 0; the result is static.
    unsafe { static_text(diffusion_sys::dm_enum_name(c_name(enumeration), value)) }
}

fn help(enumeration: &'static str, value: i32) -> Option<&'static str> {
    // SAFETY: as above.
    unsafe { static_text(diffusion_sys::dm_enum_help(c_name(enumeration), value)) }
}

fn all(enumeration: &'static str) -> Vec<i32> {
    // SAFETY: a string with a final 0.
    let count = unsafe { diffusion_sys::dm_enum_count(c_name(enumeration)) };
    let item = |index| {
        let mut value = 0;
        // SAFETY: as above, and a place for the value.
        let status = unsafe { diffusion_sys::dm_enum_item(c_name(enumeration), index, &mut value) };
        (status == 0).then_some(value)
    };
    (0..count).filter_map(item).collect()
}

fn parse(enumeration: &'static str, text: &str) -> Result<i32> {
    let mut value = 0;
    let status = match CString::new(text) {
        // SAFETY: two strings with a final 0, and a place for the value.
        Ok(text) => unsafe {
            diffusion_sys::dm_enum_value(c_name(enumeration), text.as_ptr(), &mut value)
        },
        Err(_) => Status::NOT_FOUND.0,
    };
    if status == 0 {
        return Ok(value);
    }
    let kind = enumeration.trim_end_matches('\0');
    Err(Error::new(Status(status), format!("'{text}' is no value of {kind}")))
}
