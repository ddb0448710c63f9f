// SPDX-License-Identifier: MIT
//! Sets the run-time search path of tests and examples to the folder that diffusion-sys found.
//! Programs that depend on this package decide for themselves where the library is at run time.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_DIFFUSION_LIBDIR");
    if let Ok(folder) = std::env::var("DEP_DIFFUSION_LIBDIR") {
        println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{folder}");
        println!("cargo:rustc-link-arg-examples=-Wl,-rpath,{folder}");
    }
}
