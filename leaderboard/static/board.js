// A board that sorts, filters, hides columns and moves along ε, and keeps all of that in its address.
// Without this script the table stands there whole, in the order of its ranks.
"use strict";

(function () {
  const source = document.getElementById("board-data");
  const table = document.getElementById("board");
  const controls = document.querySelector("[data-controls]");
  if (!source || !table || !controls) return;

  const data = JSON.parse(source.textContent);
  const heads = Array.from(table.tHead.rows[0].cells);
  const keys = heads.map((head) => head.dataset.key);
  const titles = new Map(heads.map((head) => [head.dataset.key, head.querySelector(".head").textContent]));
  const body = table.tBodies[0];
  const headline = data.epsilons.indexOf(data.headline);
  const FIXED = 2; // rank and entry stand before data.columns
  const FACETS = Object.keys(data.rows.length ? data.rows[0].facets : {});
  const robustAt = keys.indexOf("robust"), missedAt = keys.indexOf("missed"), forestAt = keys.indexOf("forest");

  // Every row with all its cells. A column that is not chosen stands here alone: in the page each sort would move it, and a reader aloud
  // would meet it in rows that wait to be laid out.
  const lines = Array.from(table.rows, (row) => ({ row, cells: Array.from(row.cells) }));
  const entries = Array.from(body.rows, function (row, place) {
    const cells = Array.from(row.cells);
    return {
      row, cells, place, ...data.rows[place],
      name: cells[1].textContent.trim().toLowerCase(),
      text: row.textContent.toLowerCase(),
      unranked: row.classList.contains("unranked"),
      rank: cells[0].innerHTML,
      kept: [robustAt, missedAt, forestAt].map((at) => cells[at].innerHTML),
    };
  });
  const inWords = new Intl.Collator("en", { numeric: true });
  const plain = () => ({ sort: "rank", down: false, find: "", epsilon: headline, facets: {}, hidden: hiddenAtFirst() });
  let view = plain(), drawnAt = headline, drawnColumns = null;

  function hiddenAtFirst() {
    return new Set(data.columns.filter((column) => !column.shown).map((column) => column.key));
  }

  // -- what the address says ------------------------------------------------------------

  function read() {
    view = plain();
    const told = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
    if (keys.includes(told.get("sort"))) view.sort = told.get("sort");
    view.down = told.get("order") === "down";
    view.find = told.get("find") || "";
    if (data.epsilons.includes(told.get("epsilon"))) view.epsilon = data.epsilons.indexOf(told.get("epsilon"));
    for (const facet of FACETS) if (told.get(facet)) view.facets[facet] = told.get(facet);
    if (told.has("columns")) {
      const shown = told.get("columns").split(",");
      view.hidden = new Set(data.columns.map((column) => column.key).filter((key) => !shown.includes(key)));
    }
  }

  function write() {
    const told = new URLSearchParams();
    if (view.sort !== "rank" || view.down) told.set("sort", view.sort);
    if (view.down) told.set("order", "down");
    if (view.find) told.set("find", view.find);
    if (view.epsilon !== headline) told.set("epsilon", data.epsilons[view.epsilon]);
    for (const [facet, value] of Object.entries(view.facets)) told.set(facet, value);
    const shown = data.columns.map((column) => column.key).filter((key) => !view.hidden.has(key));
    const usual = data.columns.filter((column) => column.shown).map((column) => column.key);
    if (shown.join() !== usual.join()) told.set("columns", shown.join(","));
    const hash = told.toString();
    if (hash !== location.hash.slice(1) && (hash || location.hash.includes("="))) {
      history.replaceState(null, "", hash ? `#${hash}` : "#");
    }
  }

  // -- what the table shows ---------------------------------------------------------------

  function draw() {
    const ordered = inOrder();
    arrange(ordered);
    const words = view.find.toLowerCase().split(/\s+/).filter(Boolean);
    for (const entry of entries) {
      const hidden = !fits(entry, words);
      if (entry.row.hidden !== hidden) entry.row.hidden = hidden;
    }
    drawEpsilon(ordered);
    drawColumns();
    drawHeads();
    drawControls();
    write();
  }

  function value(entry) {
    if (view.sort === "rank") {
      if (view.epsilon === headline) return entry.place;
      return (entry.unranked ? 2e6 : 0) - entry.curve[view.epsilon][0];
    }
    if (view.sort === "entry") return entry.name;
    if (view.sort === "robust" || view.sort === "forest") return entry.curve[view.epsilon][0];
    if (view.sort === "missed") return entry.curve[view.epsilon][3];
    return entry.sort[keys.indexOf(view.sort) - FIXED];
  }

  function inOrder() {
    const valued = entries.map((entry) => ({ entry, value: value(entry) }));
    return valued.sort(compare).map(({ entry }) => entry);
  }

  // What has no value stands last, whichever way the others run; equals keep the order of the board.
  function compare({ entry: one, value: a }, { entry: two, value: b }) {
    if (a === null || b === null) return (a === null) - (b === null) || one.place - two.place;
    const order = typeof a === "string" ? inWords.compare(a, String(b)) : a - b;
    return (view.down ? -order : order) || one.place - two.place;
  }

  // Only rows that do not follow the one they should are moved.
  function arrange(ordered) {
    let next = null;
    for (const { row } of ordered.slice().reverse()) {
      if (row.nextElementSibling !== next) body.insertBefore(row, next);
      next = row;
    }
  }

  function fits(entry, words) {
    return words.every((word) => entry.text.includes(word))
      && Object.entries(view.facets).every(([facet, wanted]) => entry.facets[facet] === wanted);
  }

  // Ranks are of the headline ε; elsewhere there is but an order.
  const title = (key) => (key === "rank" && view.epsilon !== headline ? "Order" : titles.get(key));
  const atEpsilon = () => `${data.epsilons[view.epsilon]} (${data.units[view.epsilon]})`;
  const percent = (thousandths) => (thousandths === null ? "–" : (thousandths / 10).toFixed(1));

  function drawEpsilon(ordered) {
    const away = view.epsilon !== headline;
    // The table comes with the headline's figures; writing them again would cost more than all of a sort.
    if (!away && drawnAt === headline) return;
    drawnAt = view.epsilon;
    let place = 0;
    for (const entry of ordered) {
      const [worst, low, high, missed] = entry.curve[view.epsilon];
      const cells = entry.cells;
      if (!away) {
        cells[0].innerHTML = entry.rank;
        [robustAt, missedAt, forestAt].forEach((at, which) => { cells[at].innerHTML = entry.kept[which]; });
        continue;
      }
      cells[0].textContent = entry.unranked || view.sort !== "rank" ? "–" : String(++place);
      moveForest(cells[forestAt], worst, low ?? worst, high ?? worst);
      fill(cells[robustAt], percent(worst), low === null ? "no interval" : `${percent(low)}–${percent(high)}`);
      fill(cells[missedAt], percent(missed), `clean ${percent(entry.curve[0][3])}`);
    }
    table.classList.toggle("away", away);
    table.querySelector("[data-epsilon]").textContent = atEpsilon();
    table.querySelector("[data-order-note]").hidden = !away;
    heads[0].querySelector(".sort").textContent = title("rank");
    heads[robustAt].querySelector("[data-unit]").textContent = `%, ε = ${data.epsilons[view.epsilon]}`;
  }

  function fill(cell, text, small) {
    const print = document.createElement("span");
    print.className = "small";
    print.textContent = small;
    cell.replaceChildren(text, print);
  }

  function moveForest(cell, worst, low, high) {
    const at = (thousandths) => (0.16 * thousandths).toFixed(1);
    cell.querySelector("path.robust").setAttribute("d", `M${at(low)} 17H${at(high)}`);
    cell.querySelector("circle.robust").setAttribute("cx", at(worst));
  }

  function drawColumns() {
    const told = Array.from(view.hidden).sort().join();
    if (told === drawnColumns) return;
    drawnColumns = told;
    const shown = keys.map((key) => !view.hidden.has(key));
    for (const { row, cells } of lines) row.replaceChildren(...cells.filter((_, at) => shown[at]));
    table.classList.add("ready");
  }

  function drawHeads() {
    heads.forEach(function (head) {
      if (head.dataset.key === view.sort) head.setAttribute("aria-sort", view.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const seen = entries.filter((entry) => !entry.row.hidden).length;
    document.querySelector("[data-count]").textContent =
      `${seen} of ${entries.length} entries, by ${title(view.sort)}, ${view.down ? "descending" : "ascending"}`
      + (view.epsilon === headline ? "" : `, robust at ε = ${data.epsilons[view.epsilon]}`);
  }

  function drawControls() {
    controls.elements.find.value = view.find;
    controls.elements.epsilon.value = String(view.epsilon);
    controls.elements.epsilon.setAttribute("aria-valuetext", atEpsilon());
    document.getElementById("epsilon-value").textContent = atEpsilon();
    for (const facet of FACETS) controls.elements[facet].value = view.facets[facet] || "";
    for (const box of controls.querySelectorAll("[data-column]")) box.checked = !view.hidden.has(box.dataset.column);
  }

  // -- what a reader does -----------------------------------------------------------------

  heads.forEach(function (head) {
    const label = head.querySelector(".head"), button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = label.textContent;
    label.replaceChildren(button);
    button.addEventListener("click", function () {
      const key = head.dataset.key, at = keys.indexOf(key) - FIXED;
      // Numbers begin with the largest, words and ranks with the first.
      const first = at >= 0 && entries.some((entry) => typeof entry.sort[at] === "number");
      view.down = view.sort === key ? !view.down : first;
      view.sort = key;
      draw();
    });
  });

  for (const facet of FACETS) {
    const values = [...new Set(entries.map((entry) => entry.facets[facet]))].sort();
    const select = controls.elements[facet];
    for (const each of values) select.append(new Option(each, each));
    select.closest(".facet").hidden = values.length < 2;
    select.addEventListener("change", function () {
      if (select.value) view.facets[facet] = select.value;
      else delete view.facets[facet];
      draw();
    });
  }

  for (const column of data.columns) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.dataset.column = column.key;
    label.append(box, ` ${column.label}`);
    controls.querySelector("[data-choices]").append(label);
    box.addEventListener("change", function () {
      if (box.checked) view.hidden.delete(column.key);
      else view.hidden.add(column.key);
      draw();
    });
  }

  controls.elements.find.addEventListener("input", function () { view.find = this.value; draw(); });
  controls.elements.epsilon.addEventListener("input", function () { view.epsilon = Number(this.value); draw(); });
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("reset", function (event) { event.preventDefault(); view = plain(); draw(); });
  addEventListener("hashchange", function () { if (location.hash.includes("=") || !location.hash) { read(); draw(); } });

  controls.hidden = false;
  read();
  draw();
})();
