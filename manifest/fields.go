package manifest

import (
	"reflect"
	"strings"
)

// fields are the JSON fields of a Go struct.
type fields struct {
	names []string // in the order of declaration
	types map[string]reflect.Type
	open  bool // any other field is allowed too
}

// fieldsOf reads the json tags of a struct type the way encoding/json does, and inlines what its tag says.
func fieldsOf(t reflect.Type) fields {
	f := fields{types: make(map[string]reflect.Type)}
	f.add(t)
	return f
}

func (f *fields) add(t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		inline := name == "" && (field.Anonymous || strings.Contains(options, "inline"))
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
		case inline && field.Type.Kind() == reflect.Map:
			f.open = true
		case inline:
			f.add(elem(field.Type))
		default:
			f.set(name, field)
		}
	}
}

func (f *fields) set(name string, field reflect.StructField) {
	if name == "" {
		name = field.Name
	}
	if _, ok := f.types[name]; ok {
		return
	}
	f.names = append(f.names, name)
	f.types[name] = field.Type
}

func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}
