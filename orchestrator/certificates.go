package orchestrator

import (
	"context"
	"sync"
	"time"

	certificates "k8s.io/client-go/informers/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller/certificates/approver"
	"k8s.io/kubernetes/pkg/controller/certificates/cleaner"
	"k8s.io/kubernetes/pkg/controller/certificates/signer"
)

// certificateLife is kube-controller-manager's --cluster-signing-duration: how long a signed certificate is valid, unless
// its request says shorter.
const certificateLife = 365 * 24 * time.Hour

// certificateLoops sign what was asked for by a CertificateSigningRequest of one of Kubernetes' signers and approved, approve
// those of nodes, and delete old ones.
// https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
func certificateLoops() []loop {
	requests := func(w *world) []trigger { return anyOf(w.informers.Certificates().V1().CertificateSigningRequests()) }
	return []loop{
		{"certificatesigningrequest-signing-controller", 5, requests, newSigners},
		{"certificatesigningrequest-approving-controller", 5, requests, func(ctx context.Context, w *world) (runner, error) {
			return approver.NewCSRApprovingController(ctx, w.client, w.informers.Certificates().V1().CertificateSigningRequests()), nil
		}},
		{"certificatesigningrequest-cleaner-controller", 1, requests, func(_ context.Context, w *world) (runner, error) {
			return cleaner.NewCSRCleanerController(w.client.CertificatesV1().CertificateSigningRequests(),
				w.informers.Certificates().V1().CertificateSigningRequests()), nil
		}},
	}
}

// signers are one controller for each of Kubernetes' signers.
type signers []runner

// Run is runner's.
func (s signers) Run(ctx context.Context, workers int) {
	var all sync.WaitGroup
	for _, one := range s {
		all.Go(func() { one.Run(ctx, workers) })
	}
	all.Wait()
}

// signerConstructor is what upstream's constructors of them are.
type signerConstructor func(context.Context, kubernetes.Interface, certificates.CertificateSigningRequestInformer, string, string, time.Duration) (*signer.CSRSigningController, error)

func newSigners(ctx context.Context, w *world) (runner, error) {
	if w.opts.SigningCert == "" {
		return idle, nil
	}
	var all signers
	for _, build := range []signerConstructor{
		signer.NewKubeletServingCSRSigningController, signer.NewKubeletClientCSRSigningController,
		signer.NewKubeAPIServerClientCSRSigningController, signer.NewLegacyUnknownCSRSigningController,
	} {
		one, err := build(ctx, w.client, w.informers.Certificates().V1().CertificateSigningRequests(),
			w.opts.SigningCert, w.opts.SigningKey, certificateLife)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
