// Package gateway runs the conformance tests of Gateway API, which are upstream's, against an instance of kube-lite.
// scripts/conformance-gateway makes the instance and the images, and chooses by the suite's own flags what runs.
// https://gateway-api.sigs.k8s.io/concepts/conformance/
package gateway

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
