// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
import "C"

import (
	"fmt"
	"strconv"
	"unsafe"
)

// Enumeration is any of this package's enumerations.
type Enumeration interface {
	~int32
	enumeration() string
}

func enumName[E Enumeration](value E) string {
	name := C.CString(value.enumeration())
	defer C.free(unsafe.Pointer(name))
	text := C.dm_enum_name(name, C.int32_t(value))
	if text == nil {
		return strconv.Itoa(int(value))
	}
	return C.GoString(text)
}

// Parse returns the value that has a name: Parse[Solver]("ddim"). ErrNotFound if there is none.
func Parse[E Enumeration](text string) (E, error) {
	var value E
	if err := checkText("the name", text); err != nil {
		return 0, err
	}
	name, member := C.CString(value.enumeration()), C.CString(text)
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(member))
	var number C.int32_t
	status := C.dm_enum_value(name, member, &number)
	return E(number), statusError(status,
		fmt.Sprintf("%s has no value %q", value.enumeration(), text))
}

// Help returns one line about a value, or "" for an unknown one.
func Help[E Enumeration](value E) string {
	name := C.CString(value.enumeration())
	defer C.free(unsafe.Pointer(name))
	return C.GoString(C.dm_enum_help(name, C.int32_t(value)))
}

// Values returns all values of an enumeration that the library knows: Values[Solver]().
func Values[E Enumeration]() []E {
	var values []E
	for _, item := range EnumItems(E(0).enumeration()) {
		values = append(values, E(item.Value))
	}
	return values
}

// EnumItem is a value of an enumeration.
type EnumItem struct {
	Value int32
	Name  string
	Help  string
}

// Enums returns the C names of the library's enumerations, such as "dm_solver".
func Enums() []string {
	var names []string
	for i := C.int32_t(0); i < C.dm_enum_type_count(); i++ {
		names = append(names, C.GoString(C.dm_enum_type_name(i)))
	}
	return names
}

// EnumItems returns the values of an enumeration, given its C name; nil for an unknown one.
func EnumItems(enumeration string) []EnumItem {
	name := C.CString(enumeration)
	defer C.free(unsafe.Pointer(name))
	var items []EnumItem
	for i := C.int32_t(0); i < C.dm_enum_count(name); i++ {
		var value C.int32_t
		if C.dm_enum_item(name, i, &value) == C.DM_OK {
			items = append(items, EnumItem{int32(value), C.GoString(C.dm_enum_name(name, value)),
				C.GoString(C.dm_enum_help(name, value))})
		}
	}
	return items
}

// MemberInfo describes a member of a C struct.
type MemberInfo struct {
	Type        MemberType
	Offset      uint32 // bytes from the start of the struct
	Count       uint32 // elements of an array member, else 1
	ElementSize uint32 // bytes of one element
	Saved       bool   // files keep this option
	Minimum     float64
	Maximum     float64 // both 0 where there is no range
	Name        string  // "batch_size"
	Enumeration string  // "dm_solver", or "" where the member is no enumeration
	DefaultText string  // "" where there is no default
	Help        string  // one line
}

// Structs returns the names of the library's C structs, such as "dm_trainer_options".
func Structs() []string {
	var names []string
	for i := C.int32_t(0); i < C.dm_struct_count(); i++ {
		names = append(names, C.GoString(C.dm_struct_name(i)))
	}
	return names
}

// StructSize returns the size of a C struct in bytes, or 0 for an unknown name.
func StructSize(name string) uint64 {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return uint64(C.dm_struct_size(text))
}

// Members returns the members of a C struct in order; nil for an unknown name.
func Members(name string) []MemberInfo {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var members []MemberInfo
	for i := C.int32_t(0); ; i++ {
		var c C.dm_member_info
		C.dm_member_info_init(&c, C.sizeof_dm_member_info)
		if C.dm_struct_member(text, i, &c) != C.DM_OK {
			return members
		}
		members = append(members, MemberInfo{
			Type: MemberType(c._type), Offset: uint32(c.offset), Count: uint32(c.count),
			ElementSize: uint32(c.element_size), Saved: c.saved != 0,
			Minimum: float64(c.minimum), Maximum: float64(c.maximum),
			Name: C.GoString(c.name), Enumeration: C.GoString(c.enumeration),
			DefaultText: C.GoString(c.default_text), Help: C.GoString(c.help),
		})
	}
}

// Version returns the version of the library, such as "0.9.0".
func Version() string { return C.GoString(C.dm_version_string()) }

// VersionNumber returns it as major * 1000000 + minor * 1000 + patch.
func VersionNumber() uint32 { return uint32(C.dm_version()) }

// BuildInfo returns one line for bug reports: version, compiler, BLAS library, instruction set.
func BuildInfo() string { return C.GoString(C.dm_build_info()) }

// Feature reports whether the build has a feature that this processor supports: "blas", "openblas",
// "blis", "avx2", "avx512", "neon", "bf16". Unknown names give false.
func Feature(name string) bool {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	return C.dm_feature(text) != 0
}
