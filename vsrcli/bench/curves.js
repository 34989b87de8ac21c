const make = (name, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return node;
};

function curves() {
  const { x, frames, metrics, unit } = data.curves, section = document.getElementById("curves");
  if (!metrics.length || x.length < 2) { section.hidden = true; return; }
  const svg = section.querySelector("svg"), legend = section.querySelector(".legend"), tabs = section.querySelector(".tabs");
  let metric = metrics.find(each => each.title.startsWith("PSNR")) || metrics[0], places = [], area = null;
  const colour = index => `var(--c${index % 8})`;
  const nice = span => { const unit = 10 ** Math.floor(Math.log10(span)); return unit * [1, 2, 5, 10].find(step => span / (unit * step) <= 1); };

  function draw() {
    const width = svg.clientWidth || 600, height = svg.clientHeight || 320, left = 58, right = 12, top = 10, bottom = 30;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren();
    const values = metric.rows.flatMap(row => row.y).filter(value => value !== null);
    if (!values.length) values.push(0, 1);
    let low = Math.min(...values.length > 50000 ? [values.reduce((a, b) => Math.min(a, b))] : values), high = values.reduce((a, b) => Math.max(a, b));
    if (high - low < 1e-9) { low -= .5; high += .5; }
    const margin = (high - low) * .06; low -= margin; high += margin;
    const px = value => left + (value - x[0]) / (x[x.length - 1] - x[0]) * (width - left - right);
    const py = value => top + (high - value) / (high - low) * (height - top - bottom);
    const stepY = nice((high - low) / 6), stepX = nice((x[x.length - 1] - x[0]) / Math.max(2, Math.floor(width / 130)));
    const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(stepY))));
    for (let tick = Math.ceil(low / stepY) * stepY; tick <= high; tick += stepY) {
      svg.append(make("line", { class: "grid", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }));
      svg.append(make("text", { x: left - 8, y: py(tick) + 4, "text-anchor": "end" }, tick.toFixed(digits)));
    }
    for (let tick = Math.ceil(x[0] / stepX) * stepX; tick <= x[x.length - 1]; tick += stepX)
      svg.append(make("text", { x: px(tick), y: height - 8, "text-anchor": px(tick) > width - 40 ? "end" : "middle" }, +tick.toFixed(3) + (unit === "s" ? " s" : "")));
    metric.rows.forEach((row, index) => {
      let path = "", pen = "M";
      row.y.forEach((value, place) => { if (value === null) { pen = "M"; } else { path += `${pen}${px(x[place]).toFixed(1)} ${py(value).toFixed(1)}`; pen = "L"; } });
      const line = make("path", { d: path || "M0 0", class: row.baseline ? "baseline" : "" });
      line.style.stroke = colour(index);
      svg.append(line);
    });
    area = { left, right: width - right };
    places = x.map(px);
    svg.append(make("line", { class: "cursor", y1: top, y2: height - bottom, x1: -9, x2: -9 }));
    show(null);
  }

  function show(place) {
    const cursor = svg.querySelector(".cursor");
    cursor.setAttribute("x1", place === null ? -9 : places[place]); cursor.setAttribute("x2", place === null ? -9 : places[place]);
    legend.replaceChildren(...metric.rows.map((row, index) => {
      const item = document.createElement("span"), mark = document.createElement("i");
      mark.style.borderColor = colour(index); mark.style.borderTopStyle = row.baseline ? "dashed" : "solid";
      const value = place === null ? "" : row.y[place] === null ? "  –" : "  " + row.y[place].toFixed(metric.digits);
      item.append(mark, row.name + value);
      return item;
    }));
    const where = document.createElement("span");
    where.className = "where";
    where.textContent = place === null ? "" : `frame ${frames[place]}` + (unit === "s" ? `, ${x[place].toFixed(2)} s` : "");
    legend.append(where);
  }

  svg.addEventListener("pointermove", event => {
    const at = event.clientX - svg.getBoundingClientRect().left;
    let low = 0, high = places.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (places[middle] < at) low = middle; else high = middle; }
    show(at - places[low] < places[high] - at ? low : high);
  });
  svg.addEventListener("pointerleave", () => show(null));
  metrics.forEach(each => {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = each.title;
    button.addEventListener("click", () => { metric = each; for (const other of tabs.children) other.setAttribute("aria-pressed", other === button); draw(); });
    button.setAttribute("aria-pressed", each === metric);
    tabs.append(button);
  });
  new ResizeObserver(draw).observe(svg);
  draw();
}

curves();
