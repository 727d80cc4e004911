package apiserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	reload "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/apiserver/pkg/storage/value"
)

// defaultEncryption is the configuration that an instance makes for itself, with a place for its key. The provider
// identity reads what was stored before there was a key.
const defaultEncryption = `# kube-lite encrypts the Secrets in its store with this key, and cannot read them without it.
# https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aesgcm:
      keys:
      - name: kube-lite
        secret: %s
  - identity: {}
`

// encryptionKeySize is that of AES-256, in bytes.
const encryptionKeySize = 32

// encryptedPrefix begins every value that upstream's providers encrypted.
const encryptedPrefix = "k8s:enc:"

// Encryption is how the values of the store are encrypted: Secrets by the instance's own key, or what a user's
// configuration says. The store is opened with it, and Close comes after the store's.
type Encryption struct {
	file string // the configuration in use
	made bool   // file, just now
	// own are the resources of the instance's own configuration; empty if there is none.
	own map[schema.GroupResource]value.Transformer
	// named is what the user's configuration says now, nil without one.
	named  *encryptionconfig.DynamicTransformers
	cancel context.CancelFunc
	reload sync.WaitGroup
}

var _ value.ResourceTransformers = (*Encryption)(nil)

// OpenEncryption reads ownFile, and makes it with a new key when there is none and configFile is "". A configFile, in the
// format of kube-apiserver's --encryption-provider-config, takes its place: ownFile is then only needed to read what was
// encrypted before. It is read again when it changes, for what is written from then on.
func OpenEncryption(ownFile, configFile string) (*Encryption, error) {
	e := &Encryption{file: ownFile}
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	err := e.openOwn(ctx, configFile == "")
	if err == nil && configFile != "" {
		e.file = configFile
		err = e.openNamed(ctx)
	}
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("encryption configuration %s: %w", e.file, err)
	}
	return e, nil
}

func (e *Encryption) openOwn(ctx context.Context, wanted bool) error {
	_, err := os.Stat(e.file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !wanted:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err := makeEncryption(e.file); err != nil {
			return err
		}
		e.made = true
	case err != nil:
		return err
	}
	config, err := encryptionconfig.LoadEncryptionConfig(ctx, e.file, false, "")
	if err != nil {
		return err
	}
	e.own = config.Transformers
	return nil
}

func (e *Encryption) openNamed(ctx context.Context) error {
	config, err := encryptionconfig.LoadEncryptionConfig(ctx, e.file, true, "")
	if err != nil {
		return err
	}
	if len(config.HealthChecks) != 1 {
		return fmt.Errorf("%d health checks, want one", len(config.HealthChecks))
	}
	e.named = encryptionconfig.NewDynamicTransformers(config.Transformers, config.HealthChecks[0], e.cancel, config.KMSCloseGracePeriod)
	controller := reload.NewDynamicEncryptionConfiguration("encryption-config", e.file, e.named, config.EncryptionFileContentHash, "")
	e.reload.Go(func() { controller.Run(ctx) })
	return nil
}

// makeEncryption makes the instance's own configuration, durably: what is encrypted with its key is lost without it.
func makeEncryption(file string) error {
	key := make([]byte, encryptionKeySize)
	_, _ = rand.Read(key) // never fails
	next, err := os.OpenFile(file+".next", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(next, defaultEncryption, base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := os.Rename(file+".next", file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// TransformerForResource is value.ResourceTransformers'. It is nil for what nobody wants encrypted.
func (e *Encryption) TransformerForResource(r schema.GroupResource) value.Transformer {
	own := e.own[r]
	switch {
	case e.named == nil && own == nil:
		return nil
	case e.named == nil:
		return own
	case own == nil:
		return e.named.TransformerForResource(r)
	}
	return formerly{e.named.TransformerForResource(r), own}
}

// formerly reads what an earlier key encrypted, too. It is to be encrypted anew.
type formerly struct {
	value.Transformer
	earlier value.Transformer
}

// TransformFromStorage is value.Read's.
func (f formerly) TransformFromStorage(ctx context.Context, data []byte, at value.Context) ([]byte, bool, error) {
	out, stale, err := f.Transformer.TransformFromStorage(ctx, data, at)
	if err != nil && bytes.HasPrefix(data, []byte(encryptedPrefix)) {
		if before, _, e := f.earlier.TransformFromStorage(ctx, data, at); e == nil {
			return before, true, nil
		}
	}
	return out, stale, err
}

// apply has /healthz and /readyz say when a key management service does not answer.
func (e *Encryption) apply(c *genericapiserver.Config) {
	if e != nil && e.named != nil {
		c.HealthzChecks = append(c.HealthzChecks, e.named)
		c.ReadyzChecks = append(c.ReadyzChecks, e.named)
	}
}

// Explain says what to do about err, why the store could not be decrypted. A key that was made for it, in vain, is gone.
func (e *Encryption) Explain(err error) error {
	const tail = "Nothing is changed. `kube-lite reset` removes the whole instance"
	if e.named != nil {
		return fmt.Errorf("%w; add the provider or the key to --encryption-config %s. %s", err, e.file, tail)
	}
	if e.made {
		err = errors.Join(err, os.Remove(e.file))
	}
	return fmt.Errorf("%w; put the file %s back that the instance made, or start with the --encryption-config "+
		"that it was started with before. %s", err, e.file, tail)
}

// Close ends the connections to key management services.
func (e *Encryption) Close() {
	e.cancel()
	e.reload.Wait()
}
