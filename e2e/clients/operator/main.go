// Command operator is a small operator as people write them with controller-runtime: it copies the text of each Memo to a
// ConfigMap of the same name, refuses texts that are forbidden, and converts between two versions. Of several replicas
// one leads.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// The lease outlives a daemon that is killed and started again on a slow machine; who ends releases it.
var leaseDuration, renewDeadline = time.Minute, 50 * time.Second

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	scheme := runtime.NewScheme()
	addTypes(scheme)
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: ":8081",
		WebhookServer:  webhook.NewServer(webhook.Options{CertDir: "/certificate"}),
		LeaderElection: true, LeaderElectionID: "memos." + group, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &leaseDuration, RenewDeadline: &renewDeadline,
	})
	if err != nil {
		return err
	}
	return errors.Join(
		manager.AddReadyzCheck("webhook", manager.GetWebhookServer().StartedChecker()),
		manager.AddHealthzCheck("ping", healthz.Ping),
		ctrl.NewWebhookManagedBy(manager, &Memo{}).WithValidator(validator{}).Complete(),
		ctrl.NewControllerManagedBy(manager).For(&Memo{}).Owns(&corev1.ConfigMap{}).Complete(&copier{manager.GetClient()}),
		manager.Start(ctx),
	)
}

// copier keeps each Memo's ConfigMap.
type copier struct{ client.Client }

// Reconcile makes the ConfigMap what the Memo wants it to be.
func (c *copier) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var memo Memo
	if err := c.Get(ctx, request.NamespacedName, &memo); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: memo.Namespace, Name: memo.Name}}
	if _, err := controllerutil.CreateOrUpdate(ctx, c.Client, config, func() error {
		config.Data = map[string]string{"text": memo.Spec.Text}
		return controllerutil.SetControllerReference(&memo, config, c.Scheme())
	}); err != nil {
		return ctrl.Result{}, err
	}
	if memo.Status.Copied == memo.Spec.Text {
		return ctrl.Result{}, nil
	}
	memo.Status.Copied = memo.Spec.Text
	return ctrl.Result{}, c.Status().Update(ctx, &memo)
}

// validator refuses a text.
type validator struct{}

func (validator) ValidateCreate(_ context.Context, memo *Memo) (admission.Warnings, error) {
	if memo.Spec.Text == "forbidden" {
		return nil, errors.New("this text is forbidden")
	}
	return nil, nil
}

func (v validator) ValidateUpdate(ctx context.Context, _, memo *Memo) (admission.Warnings, error) {
	return v.ValidateCreate(ctx, memo)
}

func (validator) ValidateDelete(context.Context, *Memo) (admission.Warnings, error) { return nil, nil }
