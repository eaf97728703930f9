// Filters and sorting. The pages are complete without this script: it only hides, orders and
// keeps the state of the filters behind the "#" of the address, so that a view can be passed on.
"use strict";

(() => {
  const holder = document.getElementById("data");
  const form = document.getElementById("filters");
  if (!holder || !form) return;
  const entries = JSON.parse(holder.textContent).entries;
  const fields = [...form.elements].filter((field) => field.name);
  const tables = [...document.querySelectorAll("table[data-sortable], table[data-sortable-text]")];

  const readHash = () => new URLSearchParams(location.hash.slice(1));

  const state = () => {
    const found = {};
    for (const field of fields) if (field.value.trim()) found[field.name] = field.value.trim();
    return found;
  };

  const matches = (entry, want) => {
    for (const name of ["dataset", "protocol", "metric"]) {
      if (want[name] && entry[name] !== want[name]) return false;
    }
    const text = (want.method || "").toLowerCase();
    return entry.facts.some(([name, kind, window]) =>
      name.includes(text) && ofKind(kind, want.kind) && (!want.window || String(window) === want.window));
  };

  const ofKind = (kind, wanted) =>
    !wanted || kind === wanted || (wanted === "reported" && kind !== "measured");

  const sideHidden = (side, kind) => Boolean(kind) && (side === "measured") !== (kind === "measured");

  function hideColumns(want) {
    for (const cell of document.querySelectorAll("[data-window]")) {
      const other = want.window && cell.dataset.window !== want.window;
      cell.hidden = Boolean(other) || sideHidden(cell.dataset.side, want.kind);
    }
    for (const side of document.querySelectorAll("th.side")) {
      const heads = side.closest("thead").querySelectorAll(`[data-window][data-side="${side.dataset.side}"]`);
      const shown = [...heads].filter((head) => !head.hidden).length;
      side.hidden = shown === 0;
      if (shown) side.colSpan = shown;
    }
  }

  function apply() {
    const want = state();
    hideColumns(want);
    let shown = 0;
    let all = 0;
    for (const row of document.querySelectorAll("tr[data-entry]")) {
      row.hidden = !matches(entries[Number(row.dataset.entry)], want);
      if (row.closest("table.full")) continue;
      all += 1;
      if (!row.hidden) shown += 1;
    }
    for (const section of document.querySelectorAll("[data-section]")) {
      section.hidden = !section.querySelector("tbody tr:not([hidden])");
    }
    const status = document.getElementById("status");
    status.textContent = shown === all ? `${all} ${status.dataset.what}` : `${shown} of ${all} ${status.dataset.what}`;
    carry(want);
  }

  // Links to other pages take the filters along that mean something there.
  function carry(want) {
    for (const link of document.querySelectorAll("a[data-carry]")) {
      const kept = new URLSearchParams(readHash());
      for (const name of ["dataset", "protocol", "sort"]) kept.delete(name);
      for (const [name, value] of Object.entries(want)) {
        if (name !== "dataset" && name !== "protocol") kept.set(name, value);
      }
      if (link.dataset.metric) kept.set("metric", link.dataset.metric);
      const target = link.getAttribute("href").split("#")[0];
      link.setAttribute("href", kept.size ? `${target}#${kept}` : target);
    }
  }

  function writeHash(sort) {
    const kept = new URLSearchParams(state());
    const order = sort === undefined ? readHash().get("sort") : sort;
    if (order) kept.set("sort", order);
    history.replaceState(null, "", `#${kept}`);
  }

  function restore() {
    const given = readHash();
    if (location.hash.length > 1 && !location.hash.includes("=")) return;
    for (const field of fields) {
      const value = given.get(field.name) || "";
      const known = field.tagName !== "SELECT" || [...field.options].some((o) => o.value === value);
      field.value = known ? value : "";
    }
    const [table, column, direction] = (given.get("sort") || "").split(".");
    tables.forEach((each, i) => {
      const heads = each.querySelectorAll("thead tr:last-child > th");
      const chosen = String(i) === table && Number(column) < heads.length;
      sort(each, chosen ? Number(column) : -1, direction);
    });
    apply();
  }

  // Unrounded numbers come from the embedded data; other tables are ordered by what they show.
  function keyOf(row, column) {
    const keys = entries[Number(row.dataset.entry)].sort;
    if (keys && row.closest("table[data-sortable]")) return keys[column];
    const text = row.cells[column].textContent.trim();
    if (text === "" || text === "–") return null;
    const plain = text.replaceAll(",", "");
    return /^[-+]?\d+(\.\d+)?$/.test(plain) ? Number(plain) : text.toLowerCase();
  }

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });

  function sort(table, column, direction) {
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => Number(a.dataset.entry) - Number(b.dataset.entry));
    table.querySelectorAll("thead tr:last-child > th").forEach((head, i) => {
      const order = direction === "up" ? "ascending" : "descending";
      head.setAttribute("aria-sort", i === column ? order : "none");
    });
    if (column >= 0) {
      const keys = new Map(rows.map((row) => [row, keyOf(row, column)]));
      const sign = direction === "up" ? 1 : -1;
      rows.sort((a, b) => {
        const [x, y] = [keys.get(a) ?? null, keys.get(b) ?? null];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * compare(x, y);
      });
    }
    body.append(...rows);
  }

  function makeSortable(table, index) {
    table.querySelectorAll("thead tr:last-child > th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const first = head.classList.contains("num") ? "down" : "up";
        const turned = before === "ascending" ? "down" : "up";
        const direction = before === "none" ? first : turned;
        tables.forEach((other) => other !== table && sort(other, -1));
        sort(table, column, direction);
        writeHash(`${index}.${column}.${direction}`);
      });
    });
  }

  // Links within the page move the focus and leave the filters in the address alone.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    const target = link && document.getElementById(link.getAttribute("href").slice(1));
    if (!target) return;
    event.preventDefault();
    target.focus();
    target.scrollIntoView({ block: "center" });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  // Some assistive programs and old browsers tell of a choice by "change" alone.
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => { writeHash(); apply(); });
  form.addEventListener("reset", () => setTimeout(() => { writeHash(""); restore(); }));
  window.addEventListener("hashchange", restore);

  tables.forEach(makeSortable);
  form.hidden = false;
  restore();
})();
