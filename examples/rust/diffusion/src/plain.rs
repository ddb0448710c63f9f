// SPDX-License-Identifier: MIT
//! Conversion between the C structs and their Rust forms, and options by name.
use crate::context::Context;
use crate::enumeration::static_text;
use crate::{sys, Error, MemberType, Result, Status};
use std::ffi::{CStr, CString};
use std::mem::{size_of, MaybeUninit};
use std::os::raw::c_char;
use std::path::Path;

/// A struct of plain values.
pub trait Plain: Sized {
    /// Its C form.
    type Raw: Copy;
    /// The C init function.
    ///
    /// # Safety
    /// `raw` must be valid for writing `size` bytes.
    unsafe fn init(raw: *mut Self::Raw, size: usize) -> i32;
    /// Copies all members.
    fn from_raw(raw: &Self::Raw) -> Self;
}

/// A struct that a caller fills in.
pub trait Input: Plain + Default {
    /// The name of the C struct.
    const NAME: &'static str;
    /// Copies all members; pointers point into `self`.
    fn write_raw(&self, raw: &mut Self::Raw);
    /// Moves what has no form as text from `old`, of which `self` is an edited copy.
    fn take_lists(&mut self, _old: &mut Self) {}
}

/// A C struct with the library's defaults.
pub(crate) fn new_raw<T: Plain>() -> T::Raw {
    let mut raw = MaybeUninit::<T::Raw>::zeroed();
    // SAFETY: raw is a C struct of that size; the call fills it, and zeros are valid in all others.
    unsafe {
        let status = T::init(raw.as_mut_ptr(), size_of::<T::Raw>());
        debug_assert_eq!(status, sys::DM_OK);
        raw.assume_init()
    }
}

/// The C form of options. Its pointers point into `options`.
pub(crate) fn to_raw<T: Input>(options: &T) -> T::Raw {
    let mut raw = new_raw::<T>();
    options.write_raw(&mut raw);
    raw
}

/// The text in an array of characters.
pub(crate) fn text_of(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The length that all lists given so far have.
pub(crate) fn list_length(length: u64, list: &[f64]) -> u64 {
    length.min(list.len() as u64)
}

/// A C string.
pub(crate) fn c_string(what: &str, text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid(format!("'{what}' contains a zero byte")))
}

/// C strings, and the array of their addresses.
pub(crate) struct CStrings {
    texts: Vec<CString>,
    addresses: Vec<*const c_char>,
}

impl CStrings {
    pub fn new<S: AsRef<str>>(what: &str, texts: &[S]) -> Result<Self> {
        let texts =
            texts.iter().map(|text| c_string(what, text.as_ref())).collect::<Result<Vec<_>>>()?;
        let addresses = texts.iter().map(|text| text.as_ptr()).collect();
        Ok(CStrings { texts, addresses })
    }

    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// NULL if there are none.
    pub fn as_ptr(&self) -> *const *const c_char {
        if self.addresses.is_empty() {
            return std::ptr::null();
        }
        self.addresses.as_ptr()
    }
}

/// A path as a C string.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    #[cfg(unix)]
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    #[cfg(not(unix))]
    let bytes = path.to_str().ok_or_else(|| Error::invalid("'path' is not Unicode"))?.as_bytes();
    CString::new(bytes).map_err(|_| Error::invalid("'path' contains a zero byte"))
}

/// Options whose members can be read and written by name. Implemented by all option structs.
///
/// ```no_run
/// use diffusion::{Context, Options, SamplerOptions, Solver};
/// # fn main() -> diffusion::Result<()> {
/// let context = Context::new(&Default::default())?;
/// let mut options = SamplerOptions::default();
/// options.set(&context, "solver", "dpmpp")?;
/// assert_eq!(options.solver, Solver::DPMPP);
/// # Ok(()) }
/// ```
pub trait Options: Input {
    /// Sets a member from text: a number, the name of an enumeration's value, or a comma-separated
    /// list for an array, whose missing entries become 0. Flags are 0 and 1. Fails with the
    /// reason if there is no such member or the value is not in its range; nothing changes then.
    /// Lists of custom levels have no form as text.
    fn set(&mut self, context: &Context, member: &str, value: &str) -> Result<()> {
        let mut raw = to_raw(self);
        let (name, member) = (c_string("name", Self::NAME)?, c_string("member", member)?);
        let value = c_string("value", value)?;
        // SAFETY: strings, and an initialised struct of that name.
        context.inner.call(|raw_context| unsafe {
            sys::dm_options_set(
                raw_context,
                name.as_ptr(),
                (&mut raw as *mut Self::Raw).cast(),
                member.as_ptr(),
                value.as_ptr(),
            )
        })?;
        let mut changed = Self::from_raw(&raw);
        changed.take_lists(self);
        *self = changed;
        Ok(())
    }

    /// A member as text that [`set`](Options::set) accepts.
    fn get(&self, context: &Context, member: &str) -> Result<String> {
        let raw = to_raw(self);
        let (name, member) = (c_string("name", Self::NAME)?, c_string("member", member)?);
        let mut text = vec![0u8; 256];
        loop {
            let mut size = 0;
            // SAFETY: as above; text has the capacity that is passed.
            context.inner.call(|raw_context| unsafe {
                sys::dm_options_get(
                    raw_context,
                    name.as_ptr(),
                    (&raw as *const Self::Raw).cast(),
                    member.as_ptr(),
                    text.as_mut_ptr().cast(),
                    text.len(),
                    &mut size,
                )
            })?;
            if size <= text.len() {
                text.truncate(size.saturating_sub(1));
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            text.resize(size, 0);
        }
    }

    /// The members of the C struct.
    fn members() -> Vec<MemberInfo> {
        struct_members(Self::NAME)
    }
}

impl<T: Input> Options for T {}

/// A member of a C struct: its place, type, range, default and help.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// "batch_size".
    pub name: &'static str,
    /// Type of one element.
    pub kind: MemberType,
    /// Bytes from the start of the struct.
    pub offset: usize,
    /// Elements of an array, else 1.
    pub count: usize,
    /// Bytes of one element.
    pub element_size: usize,
    /// Whether files keep this option.
    pub saved: bool,
    /// The range of each element, where there is one.
    pub range: Option<(f64, f64)>,
    /// "dm_solver", if it is an enumeration.
    pub enumeration: Option<&'static str>,
    /// The default as text, if there is one.
    pub default_text: Option<&'static str>,
    /// One line about it.
    pub help: &'static str,
}

/// The names of all C structs.
pub fn struct_names() -> Vec<&'static str> {
    // SAFETY: indices in range; the results are static.
    let count = unsafe { sys::dm_struct_count() };
    (0..count).filter_map(|i| unsafe { static_text(sys::dm_struct_name(i)) }).collect()
}

/// The members of a C struct, in order; none if the name is unknown.
pub fn struct_members(name: &str) -> Vec<MemberInfo> {
    let mut members = Vec::new();
    let name = match CString::new(name) {
        Ok(name) => name,
        Err(_) => return members,
    };
    while let Some(member) = member(&name, members.len() as i32) {
        members.push(member);
    }
    members
}

fn member(name: &CStr, index: i32) -> Option<MemberInfo> {
    let mut raw = MaybeUninit::<sys::dm_member_info>::zeroed();
    // SAFETY: the struct is initialised, then filled in; its strings are static.
    unsafe {
        sys::dm_member_info_init(raw.as_mut_ptr(), size_of::<sys::dm_member_info>());
        if Status(sys::dm_struct_member(name.as_ptr(), index, raw.as_mut_ptr())) != Status::OK {
            return None;
        }
        let raw = raw.assume_init();
        let range =
            (raw.minimum != 0.0 || raw.maximum != 0.0).then_some((raw.minimum, raw.maximum));
        Some(MemberInfo {
            name: static_text(raw.name)?,
            kind: MemberType(raw.r#type),
            offset: raw.offset as usize,
            count: raw.count as usize,
            element_size: raw.element_size as usize,
            saved: raw.saved != 0,
            range,
            enumeration: static_text(raw.enumeration),
            default_text: static_text(raw.default_text),
            help: static_text(raw.help).unwrap_or(""),
        })
    }
}
