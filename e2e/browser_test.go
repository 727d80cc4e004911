package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a headless Chromium with one tab.
type browser struct {
	ctx context.Context

	mu       sync.Mutex
	host     string   // the page's; everything else is another's
	troubles []string // what the browser refused or the page threw
}

// newBrowser starts one that ends with the test. What it complains of fails the test: a policy that was broken, another host that
// was asked, an exception that nobody caught.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.WindowSize(1440, 900), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-dev-shm-usage", true))
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, cancel := chromedp.NewContext(allocated)
	b := &browser{ctx: ctx}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil { // waits for the process
			t.Log(err)
		}
		cancel()
		for _, what := range b.troubles {
			t.Error("the browser: " + what)
		}
	})
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	b.run(t, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		if _, err := cdp.Call(ctx, tab, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, tab, log.Enable, cdp.Empty{})
		return err
	}))
	return b
}

// note keeps what the browser complains of.
func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		what := e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			what += " " + thrown.Description
		}
		b.troubles = append(b.troubles, what)
	case *log.EventEntryAdded:
		if string(e.Entry.Source) == "security" || strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.troubles = append(b.troubles, e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil && b.host != "" && strings.HasPrefix(u.Scheme, "http") && u.Host != b.host {
			b.troubles = append(b.troubles, "it asked "+e.Request.URL)
		}
	}
}

func (b *browser) run(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.screenshot(t, "failed")
		t.Fatal(err)
	}
}

// open follows a link.
func (b *browser) open(t *testing.T, link string) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	b.host = u.Host
	b.mu.Unlock()
	b.run(t, chromedp.Navigate(link))
}

// eval is the value of an expression in the page.
func eval[T any](t *testing.T, b *browser, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.screenshot(t, "failed")
		t.Fatalf("%v in %s", err, expression)
	}
	return value
}

// waitFor waits until an expression is true in the page.
func (b *browser) waitFor(t *testing.T, what, expression string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		if eval[bool](t, b, "Boolean("+expression+")") {
			return
		}
		if time.Now().After(deadline) {
			b.screenshot(t, "failed")
			t.Fatalf("%s: not within %s; the page says:\n%s", what, patience, eval[string](t, b, "document.body.innerText"))
		}
		time.Sleep(interval)
	}
}

// waitText waits until the page shows a text; a screen reader would read it too.
func (b *browser) waitText(t *testing.T, text string) {
	t.Helper()
	b.waitFor(t, fmt.Sprintf("the text %q", text), "document.body?.innerText.includes("+quoteJS(text)+")")
}

// element is the expression of the first visible element of a role whose accessible name is, or begins with, the text.
func element(role, name string) string {
	return fmt.Sprintf(`(() => {
		const roles = {button: 'button,[role=button]', link: 'a[href]', tab: '[role=tab]', field: 'input,textarea,select', dialog: '[role=dialog],dialog', any: '*'};
		const nameOf = (e) => (e.getAttribute('aria-label') || (e.labels && e.labels[0] && e.labels[0].innerText) || e.innerText || e.title || '').trim();
		const all = [...document.querySelectorAll(roles[%s])].filter((e) => e.checkVisibility());
		return all.find((e) => nameOf(e) === %s) || all.find((e) => nameOf(e).startsWith(%s));
	})()`, quoteJS(role), quoteJS(name), quoteJS(name))
}

// click presses what has the role and the name, once it is there and not disabled.
func (b *browser) click(t *testing.T, role, name string) {
	t.Helper()
	b.waitFor(t, role+" "+name, "(() => { const e = "+element(role, name)+"; return e && !e.disabled && e.getAttribute('aria-disabled') !== 'true'; })()")
	eval[bool](t, b, "("+element(role, name)+".click(), true)")
}

// fill sets the value of a field as if it was typed.
func (b *browser) fill(t *testing.T, name, value string) {
	t.Helper()
	b.waitFor(t, "field "+name, element("field", name))
	eval[bool](t, b, fmt.Sprintf(`(() => {
		const e = %s;
		e.focus();
		Object.getOwnPropertyDescriptor(Object.getPrototypeOf(e), 'value').set.call(e, %s);
		e.dispatchEvent(new Event('input', {bubbles: true}));
		e.dispatchEvent(new Event('change', {bubbles: true}));
		return true;
	})()`, element("field", name), quoteJS(value)))
}

// press types keys into what has the focus.
func (b *browser) press(t *testing.T, keys string) {
	t.Helper()
	b.run(t, chromedp.KeyEvent(keys))
}

// enter is the key.
const enter = kb.Enter

// prefers has the page drawn as for somebody who likes it dark, or light.
func (b *browser) prefers(t *testing.T, scheme string) {
	t.Helper()
	b.run(t, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// screenshot keeps what the page looks like, in bin/screenshots.
func (b *browser) screenshot(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	dir := filepath.Join(cluster.repo, "bin", "screenshots")
	image, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+"-"+name+".png"), image, 0o644)
	}
	if err != nil {
		t.Logf("no screenshot %s: %v", name, err)
	}
}

func quoteJS(text string) string {
	quoted, _ := json.Marshal(text) // cannot fail
	return string(quoted)
}
