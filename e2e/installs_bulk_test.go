package e2e

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// definition is a CustomResourceDefinition in the shape that generators of code write: most of it is schema.
type definition struct {
	group, kind string
	versions    []string // the first is stored
	size        int      // bytes of JSON at least
}

// plural is the resource's name.
func (d definition) plural() string { return strings.ToLower(d.kind) + "s" }

func (d definition) name() string { return d.plural() + "." + d.group }

// yaml writes the definition out.
func (d definition) yaml() string {
	var versions []any
	for n, version := range d.versions {
		versions = append(versions, map[string]any{
			"name": version, "served": true, "storage": n == 0,
			"schema":       map[string]any{"openAPIV3Schema": rootSchema(d.size / len(d.versions))},
			"subresources": map[string]any{"status": map[string]any{}},
			"additionalPrinterColumns": []any{
				map[string]any{"name": "Mode", "type": "string", "jsonPath": ".spec.section0.mode"},
				map[string]any{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
			},
		})
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": d.name(), "labels": map[string]any{"app.kubernetes.io/part-of": d.group}},
		"spec": map[string]any{
			"group": d.group, "scope": "Namespaced", "versions": versions,
			"names": map[string]any{
				"kind": d.kind, "listKind": d.kind + "List", "plural": d.plural(), "singular": strings.ToLower(d.kind),
				"categories": []any{"installs"},
			},
		},
	})
	if err != nil {
		panic(err) // of maps and strings nothing is unmarshalable
	}
	return "---\n" + string(text)
}

// object is a custom object that the schema admits and completes.
func (d definition) object() string {
	return fmt.Sprintf(`apiVersion: %s/%s
kind: %s
metadata: {name: sample}
spec: {section0: {name: first, port: http, items: [{name: inner, weight: 3}]}}
`, d.group, d.versions[0], d.kind)
}

// rootSchema is an object's schema of at least size bytes of JSON.
func rootSchema(size int) map[string]any {
	section := sectionSchema(4)
	encoded, err := json.Marshal(section)
	if err != nil {
		panic(err) // as above
	}
	sections := map[string]any{}
	for n := 0; n == 0 || n*len(encoded) < size; n++ {
		sections[fmt.Sprintf("section%d", n)] = section
	}
	return map[string]any{
		"type": "object", "description": remark,
		"properties": map[string]any{
			"apiVersion": map[string]any{"type": "string"},
			"kind":       map[string]any{"type": "string"},
			"metadata":   map[string]any{"type": "object"},
			"spec": map[string]any{
				"type": "object", "properties": sections,
				"x-kubernetes-validations": []any{map[string]any{
					"rule": "!has(self.section0) || self.section0.name != 'forbidden'", "message": "section0 must not be forbidden",
				}},
			},
			"status": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
		},
	}
}

const remark = "What this part is for is told at length, since generators copy the comments of Go types into the schema, and so most of " +
	"the bytes of a definition are sentences that only kubectl explain ever shows to anybody."

// sectionSchema nests as deep as the templates of Pods that operators embed.
func sectionSchema(depth int) map[string]any {
	properties := map[string]any{
		"name":    map[string]any{"type": "string", "description": remark, "minLength": 1, "maxLength": 253},
		"mode":    map[string]any{"type": "string", "description": remark, "enum": []any{"Auto", "Manual"}, "default": "Auto"},
		"weight":  map[string]any{"type": "integer", "description": remark, "format": "int32", "minimum": 0},
		"port":    map[string]any{"description": remark, "x-kubernetes-int-or-string": true, "anyOf": []any{map[string]any{"type": "integer"}, map[string]any{"type": "string"}}},
		"labels":  map[string]any{"type": "object", "description": remark, "additionalProperties": map[string]any{"type": "string"}},
		"raw":     map[string]any{"type": "object", "description": remark, "x-kubernetes-preserve-unknown-fields": true},
		"enabled": map[string]any{"type": "boolean", "description": remark, "nullable": true},
		"since":   map[string]any{"type": "string", "description": remark, "format": "date-time"},
	}
	if depth > 0 {
		properties["template"] = sectionSchema(depth - 1)
		properties["items"] = map[string]any{
			"type": "array", "items": sectionSchema(depth - 1), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"name"},
		}
	}
	return map[string]any{"type": "object", "description": remark, "properties": properties, "required": []any{"name"}}
}
