// SPDX-License-Identifier: MIT
// diffusion.hpp - libdiffusion for C++17: train denoising diffusion models and sample from them.
//
// A header-only wrapper of diffusion.h, which is the reference of ranges, defaults and methods; the
// names here are those without dm_. Link with libdiffusion and a thread library.
//
//     diffusion::context     memory, threads and error text; all else is created in a context
//     diffusion::schedule    how much noise each timestep adds
//     diffusion::unet        the network
//     diffusion::dataset     the source of training images
//     diffusion::trainer     trains a network on a dataset
//     diffusion::sampler     turns noise into images with a network or with a function of yours
//     diffusion::held_run    a run of a sampler in steps
//
// Errors. Every operation that can fail exists twice: x throws diffusion::error, try_x is noexcept
// and returns diffusion::result<T>. With -fno-exceptions only the try_ forms exist, and memory that
// is not available to the standard library ends the program.
//
// Ownership. Objects can be moved and not copied. Each keeps alive what it was made from, so the
// order in which they end does not matter. One that ends while a call in its context is in
// progress, in a callback or on another thread, is destroyed when that call ends. Spans are not
// kept after the call, except by dataset::create_from_borrowed.
//
// Threads. Objects may be used from any thread, but calls on one context and its objects must not
// overlap; a call that overlaps another fails with status::wrong_state. The exceptions are cancel,
// context::get_memory, unet::share for the owner's context, and functions that return a property
// and have no try_ form. One object must not be moved or destroyed while another thread calls it.
//
// Images are float [count, height, width, channels] in [-1, 1] unless bytes are taken.
#ifndef DIFFUSION_HPP
#define DIFFUSION_HPP

#include <diffusion/context.hpp>
#include <diffusion/dataset.hpp>
#include <diffusion/images.hpp>
#include <diffusion/sampler.hpp>
#include <diffusion/schedule.hpp>
#include <diffusion/trainer.hpp>
#include <diffusion/unet.hpp>

#endif
