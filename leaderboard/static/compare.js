// Two to four entries of a board side by side. The choice stands in the address: #e=first&e=second. The address of an
// entry's row, as its page links it, is a choice too: the entry and its naive twin.
// Statistics were computed when the site was built; here bits are counted, McNemar's p is taken from the counts, and
// lines are drawn.
"use strict";

document.addEventListener("DOMContentLoaded", function () {
  const section = document.getElementById("chosen");
  const data = JSON.parse(document.getElementById("compare-data").textContent);
  const choices = [...section.querySelectorAll("[data-choice]")];
  const part = (name) => section.querySelector(`[data-${name}]`);
  const count = data.entries.length;
  const SERIES = 6;
  const DASHES = ["none", "6 2", "2 2", "6 2 2 2"];

  // A page has room for the best entries in its lists; the rest are added here.
  for (const select of choices) {
    for (let i = select.options.length - 1; i < count; i++) {
      select.add(new Option(data.entries[i].title, String(i + 1)));
    }
  }

  const points = (tenths) => (tenths < 0 ? "−" : "+") + (Math.abs(tenths) / 10).toFixed(1);
  const percent = (tenths) => (tenths / 10).toFixed(1);

  // Where the pair (i, j), i < j, stands in the list of all pairs.
  function pair(i, j) {
    const [first, second] = i < j ? [i, j] : [j, i];
    const found = data.pairs[first * count - (first * (first + 1)) / 2 + second - first - 1];
    if (i < j) return found;
    return found.length < 4 ? [-found[0]] : [-found[0], -found[2], -found[1], found[3]];
  }

  function bits(hex) {
    const found = [];
    for (let i = 0; i < hex.length; i++) {
      const four = parseInt(hex[i], 16);
      found.push((four >> 3) & 1, (four >> 2) & 1, (four >> 1) & 1, four & 1);
    }
    return found.slice(0, data.images);
  }

  function agreement(i, j) {
    const one = bits(data.entries[i].right), two = bits(data.entries[j].right);
    const counts = [0, 0, 0, 0]; // both, first alone, second alone, neither
    for (let k = 0; k < one.length; k++) counts[one[k] ? (two[k] ? 0 : 1) : (two[k] ? 2 : 3)]++;
    return counts;
  }

  // McNemar's exact p, two-sided: twice the chance of so few heads, or fewer, among as many throws as images differ.
  function mcnemar(first, second) {
    const throws = first + second;
    let logChance = -throws * Math.LN2, sum = 0; // 0.5 ** 1100 itself is 0
    for (let heads = 0; heads <= Math.min(first, second); heads++) {
      sum += Math.exp(logChance);
      logChance += Math.log((throws - heads) / (heads + 1));
    }
    return Math.min(1, 2 * sum);
  }

  function cell(row, text, name) {
    const made = document.createElement(name || "td");
    if (name) made.scope = "row"; else made.className = "number";
    made.textContent = text;
    row.append(made);
    return made;
  }

  function svg(name, attributes) {
    const made = document.createElementNS(part("curves").querySelector("svg").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function swatch(place) {
    const made = svg("svg", { class: "swatch", viewBox: "0 0 24 12", "aria-hidden": "true", focusable: "false" });
    made.append(svg("line", {
      class: `stroke-series-${place % SERIES}`, x1: 0, y1: 6, x2: 24, y2: 6,
      "stroke-width": 2, "stroke-dasharray": DASHES[place],
    }));
    return made;
  }

  function drawPairs(chosen) {
    const body = part("pairs");
    body.replaceChildren();
    for (let a = 0; a < chosen.length; a++) {
      for (let b = a + 1; b < chosen.length; b++) {
        const [i, j] = [chosen[a], chosen[b]];
        const [difference, low, high, p] = pair(i, j);
        const row = document.createElement("tr");
        cell(row, `${data.entries[i].title} − ${data.entries[j].title}`, "th");
        const shown = cell(row, points(difference));
        cell(row, low === undefined ? "–" : `${points(low)} to ${points(high)}`);
        cell(row, p === undefined ? "–" : p < 1 ? "< 0.0001" : (p / 10000).toFixed(p < 100 ? 4 : 3));
        if (p !== undefined && p <= 500) shown.classList.add("beyond");
        const counts = agreement(i, j), alone = mcnemar(counts[1], counts[2]);
        for (const number of counts) cell(row, String(number));
        cell(row, alone < 0.001 ? "< 0.001" : alone.toFixed(3));
        body.append(row);
      }
    }
  }

  function drawCurves(chosen) {
    const drawing = part("curves").querySelector("svg"), legend = part("legend"), body = part("numbers");
    for (const old of drawing.querySelectorAll("[data-line]")) old.remove();
    legend.replaceChildren();
    body.replaceChildren();
    const [bottom, top] = data.y;
    chosen.forEach(function (i, place) {
      const entry = data.entries[i];
      const path = entry.curve.map((y, k) => `${data.x[k]} ${(bottom + (y / 1000) * (top - bottom)).toFixed(1)}`);
      drawing.append(svg("path", {
        "data-line": "", class: `stroke-series-${place % SERIES}`, d: "M" + path.join("L"), fill: "none",
        "stroke-width": 2, "stroke-dasharray": DASHES[place], "stroke-linejoin": "round",
      }));
      const item = document.createElement("li"), link = document.createElement("a");
      link.href = entry.path;
      link.textContent = entry.title;
      item.append(swatch(place), link, ` rank ${entry.rank}`);
      legend.append(item);
      const row = document.createElement("tr");
      const head = cell(row, "", "th");
      head.append(swatch(place), entry.title);
      for (const y of entry.curve) cell(row, percent(y));
      body.append(row);
    });
  }

  function chosenNow() {
    return [...new Set(choices.map((select) => Number(select.value) - 1).filter((i) => i >= 0 && i < count))];
  }

  function show() {
    const chosen = chosenNow(), enough = chosen.length >= 2;
    part("result").hidden = !enough;
    part("said").textContent = enough
      ? `${chosen.length} entries compared at ε = ${data.headline}.`
      : "Choose two entries.";
    if (enough) {
      drawPairs(chosen);
      drawCurves(chosen);
    }
  }

  function toAddress() {
    const words = chosenNow().map((i) => `e=${encodeURIComponent(data.entries[i].id)}`).join("&");
    history.replaceState(null, "", words ? `#${words}` : location.pathname + location.search);
  }

  function fromAddress() {
    const hash = location.hash.slice(1);
    const named = new URLSearchParams(hash).getAll("e");
    const places = named.map((id) => data.entries.findIndex((entry) => entry.id === id)).filter((i) => i >= 0);
    const row = data.entries.findIndex((entry) => entry.anchor === hash);
    const chosen = places.length ? places : row >= 0 ? [row, data.entries[row].beside] : [0, 1];
    choices.forEach((select, k) => { select.value = k < chosen.length ? String(chosen[k] + 1) : ""; });
    show();
  }

  const heads = part("epsilons");
  data.epsilons.forEach(function (epsilon, k) {
    const head = document.createElement("th");
    head.scope = "col";
    head.className = "number";
    const small = document.createElement("span");
    small.className = "small";
    small.textContent = data.units[k];
    head.append(k ? epsilon : "clean", small);
    heads.append(head);
  });
  for (const select of choices) {
    select.addEventListener("change", function () { show(); toAddress(); });
  }
  addEventListener("hashchange", fromAddress);
  section.hidden = false;
  fromAddress();
  // The row that was linked lies below, and the browser goes there; the comparison asked for is here.
  if (data.entries.some((entry) => `#${entry.anchor}` === location.hash)) {
    toAddress();
    const here = () => requestAnimationFrame(() => scrollTo(0, 0));
    if (document.readyState === "complete") here(); else addEventListener("load", here);
  }
});
