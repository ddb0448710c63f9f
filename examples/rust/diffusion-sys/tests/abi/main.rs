// SPDX-License-Identifier: MIT
//! Compares the declarations with the linked library's own tables: size of every struct; offset,
//! element size and count of every member; and every value of every enumeration.
use diffusion_sys::*;
use std::ffi::{CStr, CString};
use std::mem::{size_of, MaybeUninit};
use std::os::raw::c_char;
use std::ptr::addr_of;

struct Member {
    name: &'static str,
    offset: usize,
    element_size: usize,
    count: usize,
}

struct Struct {
    name: &'static str,
    size: usize,
    members: Vec<Member>,
}

/// Enumeration, name and value.
type Constant = (&'static str, &'static str, i32);

fn size_behind<T>(_: *const T) -> usize {
    size_of::<T>()
}

macro_rules! member {
    ($name:ident, $member:ident, $count:literal) => {{
        let memory = MaybeUninit::<$name>::uninit();
        let start = memory.as_ptr();
        // SAFETY: only the address of the member is taken; it is inside `memory`.
        let place = unsafe { addr_of!((*start).$member) };
        Member {
            name: stringify!($member),
            offset: place as usize - start as usize,
            element_size: size_behind(place) / $count,
            count: $count,
        }
    }};
}

include!("layout.rs");

fn text(pointer: *const c_char) -> String {
    assert!(!pointer.is_null());
    // SAFETY: the library's names are strings with static storage.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
}

fn member_info(name: &CStr, index: i32) -> Option<dm_member_info> {
    let mut info = MaybeUninit::<dm_member_info>::zeroed();
    // SAFETY: the struct is initialised by the first call and filled in by the second.
    unsafe {
        dm_member_info_init(info.as_mut_ptr(), size_of::<dm_member_info>());
        let status = dm_struct_member(name.as_ptr(), index, info.as_mut_ptr());
        (status == DM_OK).then(|| info.assume_init())
    }
}

#[test]
fn structs_have_the_library_s_layout() {
    let structs = structs();
    // SAFETY: takes no arguments.
    let count = unsafe { dm_struct_count() };
    // SAFETY: indices in range.
    let names: Vec<_> = (0..count).map(|i| text(unsafe { dm_struct_name(i) })).collect();
    assert_eq!(structs.len(), names.len());
    for own in &structs {
        assert!(names.iter().any(|name| name == own.name), "{}", own.name);
        let name = CString::new(own.name).unwrap();
        // SAFETY: a string.
        assert_eq!(own.size, unsafe { dm_struct_size(name.as_ptr()) }, "{}", own.name);
        for (index, member) in own.members.iter().enumerate() {
            let info = member_info(&name, index as i32).expect(own.name);
            let label = format!("{}.{}", own.name, member.name);
            assert_eq!(member.name.trim_start_matches("r#"), text(info.name), "{label}");
            assert_eq!(member.offset, info.offset as usize, "{label}");
            assert_eq!(member.element_size, info.element_size as usize, "{label}");
            assert_eq!(member.count, info.count as usize, "{label}");
        }
        assert!(member_info(&name, own.members.len() as i32).is_none(), "{}", own.name);
    }
}

#[test]
fn constants_have_the_library_s_values() {
    let constants = constants();
    let mut checked = 0;
    // SAFETY: indices in range, strings of the library, and a place for each result.
    unsafe {
        for index in 0..dm_enum_type_count() {
            let enumeration = dm_enum_type_name(index);
            for item in 0..dm_enum_count(enumeration) {
                let mut value = 0;
                assert_eq!(dm_enum_item(enumeration, item, &mut value), DM_OK);
                let name = text(dm_enum_name(enumeration, value));
                let own = constants.iter().find(|c| c.0 == text(enumeration) && c.2 == value);
                match own {
                    Some(own) => {
                        assert!(own.1.to_lowercase().ends_with(&format!("_{name}")), "{}", own.1);
                        checked += 1;
                    }
                    // The header gives these as DM_WEIGHTS_EMA + i.
                    None => assert!(name.starts_with("ema_"), "{name}"),
                }
            }
        }
    }
    assert_eq!(checked, constants.len());
}

#[test]
fn versions_agree() {
    // SAFETY: takes no arguments.
    assert_eq!(DM_VERSION / 1000, unsafe { dm_version() } / 1000);
}
