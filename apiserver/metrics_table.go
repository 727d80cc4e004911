package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/metrics/pkg/apis/metrics"
)

// usageTable prints figures as metrics-server does: `kubectl get podmetrics`. It implements
// rest.TableConvertor.
type usageTable struct{}

// ConvertToTable makes a row of each object.
func (usageTable) ConvertToTable(_ context.Context, object, _ runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{ColumnDefinitions: []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: "Name of the resource"},
		{Name: "cpu", Type: "string", Format: "quantity"}, {Name: "memory", Type: "string", Format: "quantity"},
		{Name: "Window", Type: "string", Format: "duration"},
	}}
	if !meta.IsListType(object) {
		return table, addRow(table, object)
	}
	return table, meta.EachListItem(object, func(item runtime.Object) error { return addRow(table, item) })
}

func addRow(table *metav1.Table, object runtime.Object) error {
	var (
		name   string
		window metav1.Duration
		usage  = corev1.ResourceList{}
	)
	switch o := object.(type) {
	case *metrics.NodeMetrics:
		name, window, usage = o.Name, o.Window, o.Usage
	case *metrics.PodMetrics:
		name, window = o.Name, o.Window
		for _, c := range o.Containers {
			for resource, used := range c.Usage {
				sum := usage[resource]
				sum.Add(used)
				usage[resource] = sum
			}
		}
	default:
		return fmt.Errorf("no figures are in a %T", object)
	}
	table.Rows = append(table.Rows, metav1.TableRow{
		Cells:  []any{name, usage.Cpu().String(), usage.Memory().String(), window.Duration.String()},
		Object: runtime.RawExtension{Object: object},
	})
	return nil
}
