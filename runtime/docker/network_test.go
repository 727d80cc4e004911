package docker

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestNetworkIsMadeReusedAndRemoved(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	want := d.network(4)
	for range 2 {
		if err := d.EnsureNetwork(ctx, want); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := d.Network(ctx, want.Name)
	if err != nil || !ok || got.Subnet != want.Subnet || got.Gateway != want.Gateway || got.Bridge != want.Bridge || got.Labels[LabelInstance] != d.unique {
		t.Errorf("network %+v, %v, %v", got, ok, err)
	}
	if _, err := net.InterfaceByName(want.Bridge); err != nil {
		t.Errorf("its bridge: %v", err)
	}
	for range 2 {
		if err := d.RemoveNetwork(ctx, want.Name); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, _ := d.Network(ctx, want.Name); ok {
		t.Error("it is still there")
	}
}

func TestNetworkOfSomebodyElseIsLeftAlone(t *testing.T) {
	d := newDockerTest(t)
	theirs := d.network(8)
	theirs.Labels = nil
	if err := d.EnsureNetwork(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	if err := d.EnsureNetwork(t.Context(), d.network(8)); err == nil || !strings.Contains(err.Error(), "not this instance's") {
		t.Errorf("got %v", err)
	}
}

func TestNetworkThatDiffersIsMadeAnewUnlessItIsInUse(t *testing.T) {
	d := newDockerTest(t)
	ctx := t.Context()
	if err := d.EnsureNetwork(ctx, d.network(5)); err != nil {
		t.Fatal(err)
	}
	if err := d.EnsureNetwork(ctx, d.network(6)); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := d.Network(ctx, d.unique); got.Subnet != d.network(6).Subnet {
		t.Errorf("subnet %s", got.Subnet)
	}
	spec := d.spec("user")
	spec.Network = d.unique
	d.run(spec)
	err := d.EnsureNetwork(ctx, d.network(7))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("subnet %s in place of %s", d.network(6).Subnet, d.network(7).Subnet)) {
		t.Errorf("in use: %v", err)
	}
}
