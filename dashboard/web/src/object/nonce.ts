// xterm.js and the content security policy of the page: <style> elements have to carry the page's nonce, and the style attribute of
// an element cannot be set. The CSS object model may do all.

/** withNonce calls open, and gives the nonce to all <style> elements that it makes. */
export function withNonce(open: () => void): void {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
  const { createElement } = Document.prototype;
  const own = (tag: string, options?: ElementCreationOptions): HTMLElement => {
    const el = createElement.call(document, tag, options);
    if (tag === 'style') el.nonce = nonce;
    return el;
  };
  Object.defineProperty(document, 'createElement', { value: own, configurable: true });
  try {
    open();
  } finally {
    Reflect.deleteProperty(document, 'createElement'); // the prototype's is seen again
  }
}

/** allowSpanStyles makes setAttribute("style") of a <span> go through the object model: xterm.js colours cells that way. */
export function allowSpanStyles(): void {
  const { setAttribute } = Element.prototype;
  HTMLSpanElement.prototype.setAttribute = function (this: HTMLSpanElement, name: string, value: string): void {
    if (name === 'style') this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
}
