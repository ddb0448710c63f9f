#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the enumerations and plain structs of the safe crate from the library's own tables.

    safe.py libdiffusion.so enums.rs structs.rs

The names, ranges, defaults and one-line descriptions are those of dm_struct_member, dm_enum_item,
dm_enum_name and dm_enum_help.
"""
import ctypes
import sys
import textwrap

I32, U32, I64, U64, F32, F64, CHAR, STRING, POINTER, FUNCTION = range(10)
# Arrays that a struct points to: element and the member with their length.
LISTS = {
    "custom_times": ("f64", None), "custom_sigmas": ("f64", None),
    "seeds": ("u64", "seed_count"), "labels": ("i32", "label_count"),
    "initial_noise": ("f32", "initial_noise_elements"), "image": ("f32", "image_elements"),
    "mask": ("f32", "mask_elements"),
    "condition_image": ("f32", "condition_image_elements"),
    "condition_vector": ("f32", "condition_vector_elements"),
}
# Results that are 0 or 1, for which the table has no range.
BOOLEAN = {"skipped", "vector_invariant", "training", "null_class"}
LENGTHS = {length for _, length in LISTS.values()}
# Members that are arguments of functions.
LEFT_OUT = {"struct_size", "padding", "padding_last", "class_name_count", "class_names"}
RUST = {I32: "i32", U32: "u32", I64: "i64", U64: "u64", F32: "f32", F64: "f64"}

# Structs that a caller fills in (True) or reads (False), and what they describe.
STRUCTS = {
    "dm_context_options": (True, "Threads, memory and measuring of a [`Context`](crate::Context)."),
    "dm_profile_row": (False, "The time of one operation, part and shape."),
    "dm_schedule_options": (True, "Which [`Schedule`](crate::Schedule) to compute."),
    "dm_unet_options": (True, "The shape and the variants of a [`Unet`](crate::Unet)."),
    "dm_diffusers_options": (True, "What a network of diffusers leaves open."),
    "dm_dataset_info": (False, "What a [`Dataset`](crate::Dataset) holds."),
    "dm_dataset_callback": (True, "The size of a dataset whose images a closure provides."),
    "dm_trainer_options": (True, "How a [`Trainer`](crate::Trainer) trains."),
    "dm_train_stats": (False, "The result of one training step."),
    "dm_checkpoint_info": (False, "What a file says about training."),
    "dm_sampler_options": (True, "How a [`Sampler`](crate::Sampler) samples. A list of custom "
                           "levels, at most one, replaces spacing, grid and steps."),
    "dm_sampler_request": (True, "What to sample."),
    "dm_denoiser": (True, "The size and output of a model of the caller's."),
    "dm_noise_request": (False, "One use of noise in a run of a [`Sampler`](crate::Sampler)."),
    "dm_evaluation_options": (True, "What [`Unet::evaluate`](crate::Unet::evaluate) computes."),
    "dm_evaluation": (False, "The variational bound of Ho et al. (2020, eq. 5) in bits per value, "
                      "and prediction errors. The bits are NaN for schedules without betas."),
    "dm_image_grid_options": (True, "A grid of images with a white gap around each."),
    "dm_image_animation": (True, "An animated PNG."),
}
# What enumerations describe; one that is missing gets a general line.
ENUMS = {
    "dm_status": "The status of a call: success, or why it failed.",
    "dm_member_type": "The type of a struct's member.",
    "dm_log_level": "The kind of a note that the library logs.",
    "dm_schedule_kind": "How much noise each timestep has.",
    "dm_series": "A series of T values of a schedule.",
    "dm_preset": "A set of network options.",
    "dm_precision": "How a file holds weights.",
    "dm_prediction": "What a network's output represents.",
    "dm_time_embedding": "Where the time embedding enters a residual block.",
    "dm_resample": "How a level of a network halves or doubles the size.",
    "dm_activation": "The activation function of residual blocks.",
    "dm_time_features": "What the embedding of the time begins with.",
    "dm_condition": "How a condition vector enters the embedding of the time.",
    "dm_part": "A part of a block that is built by recipe.",
    "dm_initialization": "How the weights of a network begin.",
    "dm_padding": "How a 3x3 convolution of stride 2 pads its input.",
    "dm_weights": "Which of a file's weights to load.",
    "dm_split": "Which part of a dataset to read.",
    "dm_rate_schedule": "How the learning rate falls.",
    "dm_recompute": "What the backward pass recomputes instead of keeping: less memory, same bits.",
    "dm_timestep_sampling": "The distribution of the noise levels that are trained on.",
    "dm_loss": "The loss of one element.",
    "dm_loss_weight": "The weight of an image's loss by noise level.",
    "dm_optimizer": "How weight decay is applied.",
    "dm_solver": "How a sampler goes from one noise level to the next.",
    "dm_spacing": "Which of the T timesteps are visited.",
    "dm_variance": "The variance of DDPM's steps.",
    "dm_grid": "How sigma = noise / signal is spaced.",
    "dm_random": "The source of random numbers.",
}


class MemberInfo(ctypes.Structure):
    """dm_member_info."""
    _fields_ = [
        ("struct_size", ctypes.c_uint32), ("type", ctypes.c_int32), ("offset", ctypes.c_uint32),
        ("count", ctypes.c_uint32), ("element_size", ctypes.c_uint32), ("saved", ctypes.c_int32),
        ("minimum", ctypes.c_double), ("maximum", ctypes.c_double), ("name", ctypes.c_char_p),
        ("enumeration", ctypes.c_char_p), ("default_text", ctypes.c_char_p),
        ("help", ctypes.c_char_p)]


def camel(name):
    return "".join(word.capitalize() for word in name[3:].split("_"))


def comment(text, indent):
    text = text.replace("[`", "\1").replace("`]", "\2")
    text = text.replace("[", "\\[").replace("]", "\\]").replace("\1", "[`").replace("\2", "`]")
    head = " " * indent + "/// "
    return textwrap.wrap(text, 100, initial_indent=head, subsequent_indent=head,
                         break_long_words=False, break_on_hyphens=False)


def sentence(text):
    return text[0].upper() + text[1:].rstrip(".") + "."


class Member:
    """One member of a struct and its Rust form."""

    def __init__(self, info):
        self.name = info.name.decode()
        self.type, self.count = info.type, info.count
        self.low, self.high = info.minimum, info.maximum
        self.enumeration = info.enumeration and info.enumeration.decode()
        self.default = info.default_text and info.default_text.decode()
        self.help = info.help.decode()
        flag = self.type == I32 and not self.enumeration
        self.flag = flag and ((self.low, self.high) == (0, 1) or self.name in BOOLEAN)

    def rust(self):
        if self.type == CHAR:
            return "String"
        if self.type == POINTER:
            return f"Option<Vec<{LISTS[self.name][0]}>>"
        one = "bool" if self.flag else camel(self.enumeration) if self.enumeration else \
            RUST[self.type]
        return one if self.count == 1 else f"[{one}; {self.count}]"

    def range(self):
        if self.low == self.high or self.flag or self.enumeration:
            return ""
        low = "above 0" if 0 < self.low < 1e-30 else f"from {self.low:g}"
        high = "below 1" if self.high == 0.9999999403953552 or 0.999 < self.high < 1 else \
            f"at most {self.high:.12g}" if self.high < 2e9 else ""
        return f" Range: {low}{', ' + high if high else ''}."

    def doc(self):
        text = self.help.replace(", or NULL", "").replace("; or NULL", "")
        if self.name == "custom_count":
            text += ", whose own length counts where one is given"
        if self.flag:
            if text.startswith("1: "):
                text = "Whether to " + text[3:] if self.name in WHETHER_TO else text[3:]
            else:
                text = text.replace("0: ", "false: ").replace("1: ", "true: ")
        default = self.default
        if default and self.flag:
            words = [{"0": "false", "1": "true"}[v] for v in default.split(",")]
            default = ", ".join(words)
        elif default and self.enumeration:
            words = default.upper().split(",")
            default = f"`{words[0]}`" if len(set(words)) == 1 else f"`{default.upper()}`"
        elif default:
            default = default.replace(",", ", ")
        tail = f" Default: {default}." if default else ""
        return sentence(text) + self.range() + tail

    def read(self):
        if self.type == CHAR:
            return f"text_of(&raw.{self.name})"
        if self.type == POINTER:
            return "None"
        if self.flag:
            test = " != 0" if self.count == 1 else ".map(|v| v != 0)"
            return f"raw.{self.name}{test}"
        if self.enumeration:
            made = camel(self.enumeration)
            return f"{made}(raw.{self.name})" if self.count == 1 else f"raw.{self.name}.map({made})"
        return f"raw.{self.name}"

    def write(self):
        if self.type == POINTER:
            length = LISTS[self.name][1]
            count = f"raw.{length} = list.len() as u64;" if length else \
                "raw.custom_count = list_length(raw.custom_count, list);"
            return [f"if let Some(list) = &self.{self.name} {{",
                    f"    raw.{self.name} = list.as_ptr();", f"    {count}", "}"]
        value = f"self.{self.name}"
        if self.flag:
            value = f"i32::from({value})" if self.count == 1 else f"{value}.map(i32::from)"
        elif self.enumeration:
            value += ".0" if self.count == 1 else ".map(|v| v.0)"
        return [f"raw.{self.name} = {value};"]


WHETHER_TO = {"profile", "large_pages", "zero_terminal_snr", "scale_betas", "flip", "use_labels",
              "ema_warmup", "clip", "lower_order_final", "distill_clip", "latency"}


def members(library, name):
    result = []
    while True:
        info = MemberInfo()
        library.dm_member_info_init(ctypes.byref(info), ctypes.sizeof(info))
        if library.dm_struct_member(name.encode(), len(result), ctypes.byref(info)):
            break
        result.append(Member(info))
    return [m for m in result if m.type != FUNCTION and not m.name.endswith("user")
            and m.name not in LENGTHS | LEFT_OUT]


def struct_text(library, name, is_input, about):
    rust, fields = camel(name), members(library, name)
    out = comment(about, 0)
    if not is_input:
        out.append("#[non_exhaustive]")
    out += ["#[derive(Clone, Debug, PartialEq)]", f"pub struct {rust} {{"]
    for field in fields:
        out += comment(field.doc(), 4) + [f"    pub {field.name}: {field.rust()},"]
    out += ["}", "", f"impl Plain for {rust} {{", f"    type Raw = sys::{name};",
            "    unsafe fn init(raw: *mut Self::Raw, size: usize) -> i32 {",
            "        // SAFETY: raw is a struct of `size` bytes, which the call fills in.",
            f"        unsafe {{ sys::{name}_init(raw, size) }}", "    }",
            "    fn from_raw(raw: &Self::Raw) -> Self {", f"        {rust} {{"]
    out += [f"            {field.name}: {field.read()}," for field in fields]
    out += ["        }", "    }", "}"]
    if not is_input:
        return out + [""]
    out += ["", f"impl Input for {rust} {{", f'    const NAME: &\'static str = "{name}";',
            "    fn write_raw(&self, raw: &mut Self::Raw) {"]
    for field in fields:
        if field.name == "custom_times":
            out += ["        if self.custom_times.is_some() || self.custom_sigmas.is_some() {",
                    "            raw.custom_count = u64::MAX;", "        }"]
        out += ["        " + line for line in field.write()]
    out += ["    }"]
    lists = [field.name for field in fields if field.type == POINTER]
    if lists:
        out.append("    fn take_lists(&mut self, old: &mut Self) {")
        out += [f"        self.{field} = old.{field}.take();" for field in lists] + ["    }"]
    out += ["}", "", f"impl Default for {rust} {{", "    fn default() -> Self {",
            "        Self::from_raw(&new_raw::<Self>())", "    }", "}", ""]
    return out


def enum_text(library, name):
    items = []
    for index in range(library.dm_enum_count(name.encode())):
        value = ctypes.c_int32()
        library.dm_enum_item(name.encode(), index, ctypes.byref(value))
        word = library.dm_enum_name(name.encode(), value).decode()
        items.append((word, value.value, library.dm_enum_help(name.encode(), value).decode()))
    about = ENUMS.get(name, f"The enumeration `{name}` of diffusion.h.")
    out = ["enumeration! {"] + comment(about, 4) + [f'    {camel(name)}, "{name}", {{']
    for word, value, text in items:
        out += comment(sentence(text), 8) + [f"        {word.upper()} = {value},"]
    return out + ["    }", "}"]


def main():
    library = ctypes.CDLL(sys.argv[1])
    for function in ("dm_enum_name", "dm_enum_help", "dm_enum_type_name"):
        getattr(library, function).restype = ctypes.c_char_p
    head = ["// SPDX-License-Identifier: MIT",
            "// Generated by generate/safe.py from the library's tables. Do not edit.", ""]
    enums = []
    for index in range(library.dm_enum_type_count()):
        enums += enum_text(library, library.dm_enum_type_name(index).decode())
    structs = ["use super::*;", "use crate::plain::{list_length, new_raw, text_of, Input, Plain};",
               "use crate::sys;", ""]
    for name, (is_input, about) in STRUCTS.items():
        structs += struct_text(library, name, is_input, about)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("\n".join(head + enums) + "\n")
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write("\n".join(head + structs).rstrip("\n") + "\n")


main()
