(function () {
  var root = document.documentElement, button = document.getElementById("theme");
  function dark() {
    if (root.dataset.theme) return root.dataset.theme === "dark";
    return window.matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function label() { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", "Change to " + button.textContent.toLowerCase() + " colours"); }
  button.hidden = false;
  label();
  button.addEventListener("click", function () {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("tuningfork-theme", root.dataset.theme); } catch (e) { /* a page opened from a file may not keep it */ }
    label();
  });
  var specs = document.getElementById("charts");
  if (!specs || !window.vegaEmbed) return;
  specs = JSON.parse(specs.textContent);
  // currentColor: the charts take the colours of the theme, also when it changes and on paper
  var ink = "currentColor", config = {
    background: null, font: getComputedStyle(document.body).fontFamily, view: { stroke: null }, text: { fill: ink, color: ink }, legend: { labelColor: ink, titleColor: ink, labelFontSize: 13, symbolStrokeColor: ink },
    axis: { labelColor: ink, titleColor: ink, gridColor: ink, gridOpacity: 0.12, domainColor: ink, domainOpacity: 0.35, tickColor: ink, tickOpacity: 0.35, labelFontSize: 12, titleFontSize: 13, titleFontWeight: 400, titlePadding: 10 }
  };
  Object.keys(specs).forEach(function (name) {
    var place = document.getElementById("chart-" + name), fold = place.closest("details:not([open])");
    function draw() { window.vegaEmbed(place, specs[name], { renderer: "svg", actions: false, config: config }); }
    // what is folded away has no width to draw in until it is opened
    if (fold) fold.addEventListener("toggle", draw, { once: true }); else draw();
  });
})();
