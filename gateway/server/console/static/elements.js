// Making and changing elements. Text goes in as text, never as markup; styles by class, as the content policy wants it.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Writes only what changed, so that nothing is announced, selected or laid out anew for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Makes `container` hold one child for each item, in order. `make(item)` gives {element, update}; kept by `key(item)`. */
export function keyed(container, items, key, make) {
  const kept = container.kept ?? new Map();
  container.kept = kept;
  const wanted = new Set(items.map(key));
  for (const [name, part] of kept) {
    if (wanted.has(name)) continue;
    part.element.remove();
    kept.delete(name);
  }
  let before = container.firstElementChild;
  for (const item of items) {
    let part = kept.get(key(item));
    if (!part) {
      part = make(item);
      kept.set(key(item), part);
    }
    part.update(item);
    if (part.element === before) before = before.nextElementSibling;
    else container.insertBefore(part.element, before);
  }
}

/** A table whose cells are texts, or {text, class, title, hue, node}. `columns`: {title, number, wide}. */
export function makeTable(columns, caption) {
  const head = columns.map((column) =>
    h("th", { scope: "col", class: classes(column), title: column.about }, column.title),
  );
  const body = h("tbody");
  const table = h(
    "table",
    null,
    caption ? h("caption", { class: "visually-hidden" }, caption) : null,
    h("thead", null, h("tr", null, ...head)),
    body,
  );
  const row = () => {
    const cells = columns.map((column, index) => {
      const inner = h("span");
      return {
        inner,
        cell: h(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null, class: classes(column) }, inner),
      };
    });
    const element = h("tr", null, ...cells.map((one) => one.cell));
    const update = (item) => item.cells.forEach((value, index) => fill(cells[index].inner, value));
    return { element, update };
  };
  return { table, show: (items) => keyed(body, items, (item) => item.key, row) };
}

function classes(column) {
  return (
    [column.number ? "number" : "", column.nowrap ? "nowrap" : "", column.wide ? "wide" : ""].join(" ").trim() || null
  );
}

function fill(element, value) {
  const given = typeof value === "object" && value !== null ? value : { text: value };
  setText(element, given.text ?? "");
  setAttribute(element, "class", given.class);
  setAttribute(element, "title", given.title);
  setAttribute(element, "data-hue", given.hue);
}
