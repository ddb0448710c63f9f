// SPDX-License-Identifier: MIT

package diffusion

// #include "bridge.h"
// #include <string.h>
import "C"

import (
	"reflect"
	"strings"
	"sync"
	"unsafe"
)

// structure is a Go struct with a C counterpart. Its exported fields have the names of the C
// members, without underscores and in any case; fields that C does not have are left alone, and
// bool stands for an int32_t of 0 or 1. Offsets come from the library at run time.
type structure interface{ cStruct() string }

// field says how a field of the Go struct is stored in the C struct.
type field struct {
	index  int
	offset uintptr
	count  int
	kind   MemberType
}

var plans sync.Map // of reflect.Type: []field

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// plan returns the fields that a Go struct shares with the C struct.
func plan(t reflect.Type, name string) []field {
	if known, ok := plans.Load(t); ok {
		return known.([]field)
	}
	members := map[string]MemberInfo{}
	for _, m := range Members(name) {
		end := uintptr(m.Offset) + uintptr(m.Count)*uintptr(m.ElementSize)
		if end <= cTypes[name].size && m.Type != TypePointer && m.Type != TypeFunction {
			members[fold(m.Name)] = m
		}
	}
	var fields []field
	for i := 0; i < t.NumField(); i++ {
		if m, ok := members[fold(t.Field(i).Name)]; ok && t.Field(i).IsExported() {
			fields = append(fields, field{i, uintptr(m.Offset), int(m.Count), m.Type})
		}
	}
	plans.Store(t, fields)
	return fields
}

// newC returns the C struct of that name in C memory, with its defaults. The caller frees it.
func newC(name string) unsafe.Pointer {
	c := cTypes[name]
	p := C.malloc(C.size_t(c.size)) // never NULL: Go ends the program
	C.memset(p, 0, C.size_t(c.size))
	c.init(p, C.size_t(c.size))
	return p
}

// toC returns a copy of s in C memory, which the caller frees, or NULL for a nil s.
func toC(s structure) unsafe.Pointer {
	v := reflect.ValueOf(s)
	if v.IsNil() {
		return nil
	}
	v = v.Elem()
	p := newC(s.cStruct())
	for _, f := range plan(v.Type(), s.cStruct()) {
		value := v.Field(f.index)
		if value.Kind() != reflect.Array {
			store(unsafe.Add(p, f.offset), f.kind, value)
			continue
		}
		size := value.Type().Elem().Size()
		if value.Type().Elem().Kind() == reflect.Bool {
			size = 4
		}
		for i := 0; i < f.count; i++ {
			store(unsafe.Add(p, f.offset+uintptr(i)*size), f.kind, value.Index(i))
		}
	}
	return p
}

// fromC copies a C struct to s.
func fromC(s structure, p unsafe.Pointer) {
	v := reflect.ValueOf(s).Elem()
	for _, f := range plan(v.Type(), s.cStruct()) {
		value := v.Field(f.index)
		if value.Kind() != reflect.Array {
			load(unsafe.Add(p, f.offset), f, value)
			continue
		}
		size := value.Type().Elem().Size()
		if value.Type().Elem().Kind() == reflect.Bool {
			size = 4
		}
		for i := 0; i < f.count; i++ {
			load(unsafe.Add(p, f.offset+uintptr(i)*size), f, value.Index(i))
		}
	}
}

func store(p unsafe.Pointer, kind MemberType, v reflect.Value) {
	switch kind {
	case TypeI32:
		if v.Kind() == reflect.Bool {
			*(*int32)(p) = 0
			if v.Bool() {
				*(*int32)(p) = 1
			}
		} else {
			*(*int32)(p) = int32(v.Int())
		}
	case TypeU32:
		*(*uint32)(p) = uint32(v.Uint())
	case TypeI64:
		*(*int64)(p) = v.Int()
	case TypeU64:
		*(*uint64)(p) = v.Uint()
	case TypeF32:
		*(*float32)(p) = float32(v.Float())
	case TypeF64:
		*(*float64)(p) = v.Float()
	}
}

func load(p unsafe.Pointer, f field, v reflect.Value) {
	switch f.kind {
	case TypeI32:
		if v.Kind() == reflect.Bool {
			v.SetBool(*(*int32)(p) != 0)
		} else {
			v.SetInt(int64(*(*int32)(p)))
		}
	case TypeU32:
		v.SetUint(uint64(*(*uint32)(p)))
	case TypeI64:
		v.SetInt(*(*int64)(p))
	case TypeU64:
		v.SetUint(*(*uint64)(p))
	case TypeF32:
		v.SetFloat(float64(*(*float32)(p)))
	case TypeF64:
		v.SetFloat(*(*float64)(p))
	case TypeChar:
		v.SetString(C.GoString((*C.char)(p)))
	case TypeString:
		v.SetString(C.GoString(*(**C.char)(p)))
	}
}

// defaults fills s with its C struct's defaults.
func defaults(s structure) {
	p := newC(s.cStruct())
	defer C.free(p)
	fromC(s, p)
}

// arena holds C memory that lives as long as a call or a held run.
type arena []unsafe.Pointer

func (a *arena) add(p unsafe.Pointer) unsafe.Pointer {
	*a = append(*a, p)
	return p
}

func (a *arena) free() {
	for _, p := range *a {
		C.free(p)
	}
	*a = nil
}

// text returns a copy of text for C.
func (a *arena) text(text string) *C.char {
	return (*C.char)(a.add(unsafe.Pointer(C.CString(text))))
}

// texts returns copies of texts for C; NULL for none.
func (a *arena) texts(texts []string) (**C.char, error) {
	all := make([]*C.char, len(texts))
	for i, text := range texts {
		if err := checkText("the name", text); err != nil {
			return nil, err
		}
		all[i] = a.text(text)
	}
	return copied(a, all), nil
}

// copied returns a copy of values in C memory; NULL for none.
func copied[T any](a *arena, values []T) *T {
	if len(values) == 0 {
		return nil
	}
	size := uintptr(len(values)) * unsafe.Sizeof(values[0])
	p := (*T)(a.add(C.malloc(C.size_t(size))))
	copy(unsafe.Slice(p, len(values)), values)
	return p
}

// first returns the address of a slice's first element; nil for an empty slice.
func first[T any](values []T) *T {
	if len(values) == 0 {
		return nil
	}
	return &values[0]
}
