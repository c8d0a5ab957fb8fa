// Questions to the person: each resolves to the answer, or to null where it was called off.

import { post, getJson } from "./api.js";
import { button, el, hue, many, number, sized } from "./dom.js";
import { help } from "./keys.js";
import { store, title } from "./store.js";
import { drawTile, forget, wish } from "./thumbs.js";

function ask(heading, build) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const dialog = el("dialog", { "aria-label": heading });
    const done = (value) => {
      dialog.close();
      dialog.remove();
      before?.focus?.({ preventScroll: true });
      resolve(value);
    };
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      done(null);
    });
    dialog.addEventListener("pointerdown", (event) => {
      if (event.target === dialog) done(null);
    });
    dialog.append(
      el(
        "form",
        { method: "dialog", onsubmit: (event) => event.preventDefault() },
        el(
          "header",
          {},
          el("h2", { text: heading }),
          button("✕", "Close (Esc)", () => done(null), "plain"),
        ),
        build(done),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector("[data-first]");
    first?.focus();
    first?.select?.();
  });
}

export const showHelp = () => ask("Keys", () => help());

// Which cluster? Type to narrow, arrows and Enter to choose. With `fresh`, a new one of the name typed can be chosen.
// `likely` promises which to offer first, and which not at all; it counts unless a choice has begun when it comes.
export function chooseCluster(heading, { without = [], only = null, fresh = false, likely = null } = {}) {
  let known = store.overview.clusters.filter((c) => !without.includes(c.id) && (!only || only.includes(c.id)));
  return ask(heading, (done) => {
    let at = 0,
      offers = [],
      first = new Map();
    const input = el("input", {
      type: "search",
      placeholder: fresh ? "Type a name: of a cluster, or of a new one" : "Type to narrow",
      "aria-label": heading,
      "data-first": true,
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": "offers",
    });
    const list = el("ul", { id: "offers", role: "listbox", class: "offers" });
    const owner = {};
    const finish = (value) => {
      forget(owner);
      done(value);
    };
    const strips = new Map();
    const paint = () =>
      strips.forEach((rows, canvas) => {
        const g = sized(canvas, 96, 32);
        rows.forEach((row, i) => drawTile(g, row, i * 32, 0, 31));
      });
    const draw = () => {
      const words = input.value.trim().toLowerCase();
      offers = known.filter((c) => title(c.id).toLowerCase().includes(words) || String(c.id) === words);
      const place = (c) => first.get(c.id) ?? Infinity;
      const before = (a, b) => (place(a) === place(b) ? 0 : place(a) - place(b));
      offers.sort((a, b) => before(a, b) || Number(Boolean(b.name)) - Number(Boolean(a.name)) || a.id - b.id);
      offers = offers.slice(0, 200);
      const isNew = fresh && (!words || !known.some((c) => title(c.id).toLowerCase() === words));
      if (isNew) offers.push({ id: store.overview.fresh, isNew: true, name: input.value.trim(), rows: [] });
      at = Math.max(0, Math.min(at, offers.length - 1));
      strips.clear();
      list.replaceChildren(
        ...offers.map((c, i) => {
          const canvas = el("canvas", { class: "strip", "aria-hidden": "true" });
          if (!c.isNew) strips.set(canvas, c.rows.slice(0, 3));
          const words = c.isNew ? (c.name ? `New cluster “${c.name}”` : "New cluster") : title(c.id);
          return el(
            "li",
            { role: "option", "aria-selected": String(i === at), onclick: () => finish(c), class: i === at ? "at" : "" },
            c.isNew ? el("span", { class: "strip plus", text: "+" }) : canvas,
            el("span", { class: "swatch" }),
            el("span", { class: "what", text: words }),
            c.isNew ? null : el("span", { class: "muted", text: number(c.size) }),
          );
        }),
      );
      list.querySelectorAll(".swatch").forEach((node, i) => {
        node.style.background = hue(offers[i].id);
      });
      list.children[at]?.scrollIntoView({ block: "nearest" });
      wish(
        owner,
        offers.slice(0, 40).flatMap((c) => c.rows.slice(0, 3)),
        paint,
      );
      paint();
    };
    input.addEventListener("input", () => {
      at = 0;
      draw();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        at = (at + (event.key === "ArrowDown" ? 1 : -1) + offers.length) % Math.max(1, offers.length);
        draw();
      } else if (event.key === "Enter") {
        event.preventDefault();
        if (offers[at]) finish(offers[at]);
      }
    });
    draw();
    likely?.then(({ clusters, within }) => {
      if (input.value || at) return;
      first = new Map(clusters.map((id, i) => [id, i]));
      known = known.filter((c) => c.id !== within);
      draw();
    });
    return el("div", { class: "chooser" }, input, list);
  });
}

// Into how many?
export function askParts(cluster) {
  return ask(`Split ${title(cluster)}`, (done) => {
    const input = el("input", { type: "number", min: "2", max: "100", value: "2", "data-first": true, id: "parts" });
    const go = () => {
      const n = Number(input.value);
      if (Number.isInteger(n) && n >= 2 && n <= 100) done(n);
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        go();
      }
    });
    return el(
      "div",
      { class: "body" },
      el("p", {
        text: "Its items are grouped anew by what they look like to the model. The largest part keeps the number and the name; undo brings it back.",
      }),
      el("label", { for: "parts", text: "Into how many?" }),
      input,
      el("footer", {}, button("Split", "", go, "main")),
    );
  });
}

// Take the labels away, names and edits in them.
export async function exportDialog() {
  const { formats } = await getJson("/api/exports");
  return ask("Export", (done) => {
    const said = el("p", { role: "status", class: "said" });
    const list = el(
      "div",
      { class: "formats", role: "radiogroup", "aria-label": "Format" },
      formats.map((f, i) =>
        el(
          "label",
          {},
          el("input", { type: "radio", name: "format", value: f.name, checked: i === 0, "data-first": i === 0 || undefined }),
          el("span", {}, el("b", { text: f.name }), " ", el("span", { class: "muted", text: f.what })),
        ),
      ),
    );
    const go = button(
      "Export",
      "",
      async () => {
        const format = list.querySelector("input:checked").value;
        go.disabled = true;
        const asking = setInterval(async () => {
          const { done } = await getJson("/api/exports").catch(() => ({ done: [0, 0] }));
          if (go.disabled && done[1]) said.textContent = `Writing … ${number(done[0])} of ${number(done[1])}`;
        }, 700);
        said.className = "said";
        said.textContent = "Writing …";
        try {
          const found = await post("/api/exports", { format });
          const lost = found.n_left_out ? ` ${many(found.n_left_out, "item")} could not be read and are left out.` : "";
          said.replaceChildren(`${many(found.n_items, "item")} written to `, el("code", { text: found.place }), lost);
        } catch (error) {
          said.className = "said bad";
          said.textContent = error.message;
        }
        clearInterval(asking);
        go.disabled = false;
      },
      "main",
    );
    const { named, clusters, rejected } = store.overview.progress;
    const left = clusters - named;
    return el(
      "div",
      { class: "body" },
      el("p", {
        text: `Names and edits are in it${rejected ? `; ${many(rejected, "rejected item")} left out` : ""}.${left ? ` ${many(left, "cluster")} without a name will go by number.` : ""}`,
      }),
      list,
      said,
      el("footer", {}, go),
    );
  });
}
