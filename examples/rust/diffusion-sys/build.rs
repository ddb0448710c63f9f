// SPDX-License-Identifier: MIT
//! Finds the library through pkg-config; where that fails, the linker looks for -ldiffusion in its
//! own folders. The folder is also passed on as DEP_DIFFUSION_LIBDIR, so that the build script of
//! a dependent package can set a run-time search path for its tests and examples.
use std::env;
use std::process::Command;

fn main() {
    for name in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let folders = folders();
    if folders.is_none() {
        println!(
            "cargo:warning=pkg-config does not find diffusion; for a library that is not in a \
             standard folder set PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig"
        );
    }
    for folder in folders.unwrap_or_default() {
        println!("cargo:rustc-link-search=native={folder}");
        println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{folder}");
        println!("cargo:libdir={folder}");
    }
    println!("cargo:rustc-link-lib=dylib=diffusion");
}

/// The folders to search for the library, in order: those of pkg-config's -L options.
fn folders() -> Option<Vec<String>> {
    let tool = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(tool).args(["--libs-only-L", "diffusion"]).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    Some(split(&text).iter().filter_map(|word| word.strip_prefix("-L").map(String::from)).collect())
}

/// Splits pkg-config's output into words, in which a backslash quotes the next character.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words.last_mut().unwrap().extend(characters.next()),
            '"' => {}
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}
