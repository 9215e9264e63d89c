// Nodes: made once, changed only where they differ, so that a refresh keeps scroll position, selection and
// focus. What comes from the database goes in as text, never as markup; there is no other way here.

export const $ = (id) => document.getElementById(id);

/// An element with attributes and children; a string is a text node.
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) setAttribute(node, key, value);
  node.append(...children);
  return node;
}

/// The same in SVG.
export function shape(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) setAttribute(node, key, value);
  node.append(...children);
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/// Children that stand for items: each is made once for its key, then updated in place and moved only if its
/// place changed.
export function keyed(parent, items, key, make, update) {
  const present = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let node = present.get(name);
    present.delete(name);
    if (!node) {
      node = make(item);
      node.dataset.key = name;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  for (const node of present.values()) node.remove();
}

/// A field takes the value of the address; one that the reader is in keeps what is being typed or chosen, unless the
/// reader went to another address.
export function setValue(field, value, arrived) {
  if ((arrived || field !== document.activeElement) && field.value !== value) field.value = value;
}

/// The options of a choice: [value, label].
export function setOptions(select, options, value, arrived) {
  keyed(
    select,
    options,
    ([name]) => name,
    ([name]) => element("option", { value: name }),
    (node, [, label]) => setText(node, label),
  );
  setValue(select, value, arrived);
}
