// SPDX-License-Identifier: MIT
// The theme, and values under the pointer: of all lines at one x, or of the nearest dot; of other marks the
// text of their <title>. Texts of a run reach the page through textContent alone.
'use strict';
(function () {
  var root = document.documentElement;
  var wanted = /[?&]theme=(light|dark)/.exec(location.search);
  if (wanted) root.setAttribute('data-theme', wanted[1]);
  var button = document.querySelector('.theme');
  button.hidden = false;
  button.addEventListener('click', function () {
    var system = matchMedia('(prefers-color-scheme:dark)').matches ? 'dark' : 'light';
    var theme = root.getAttribute('data-theme') || system;
    root.setAttribute('data-theme', theme === 'dark' ? 'light' : 'dark');
  });

  var tip = document.body.appendChild(document.createElement('div'));
  tip.id = 'tip';

  function add(parent, name, text) {
    var child = parent.appendChild(document.createElement(name));
    if (text !== undefined) child.textContent = text;
    return child;
  }

  function show(event) {
    var x = event.clientX + 14, y = event.clientY - tip.offsetHeight - 10;
    if (x + tip.offsetWidth > innerWidth - 8) x = Math.max(8, event.clientX - tip.offsetWidth - 14);
    tip.style.left = x + 'px';
    tip.style.top = Math.max(8, y) + 'px';
    tip.style.opacity = 1;
  }

  function hide() {
    tip.style.opacity = 0;
    document.querySelectorAll('.cross').forEach(function (line) { line.remove(); });
  }

  // A browser shows <title> late, and never on a phone.
  document.querySelectorAll('svg title').forEach(function (title) {
    title.parentNode.setAttribute('data-t', title.textContent);
    title.remove();
  });

  // data-p: points "px,py,x,y[,low,high]", the first two in the drawing.
  function read(group) {
    return {
      name: group.dataset.n,
      x: group.dataset.x,
      color: group.dataset.c,
      free: group.dataset.free !== undefined,
      points: group.dataset.p.split(' ').filter(Boolean).map(function (point) { return point.split(','); })
    };
  }

  function nearest(line, distance) {
    var best = null;
    line.points.forEach(function (point) {
      var d = distance(point);
      if (!best || d < best.distance) best = {line: line, point: point, distance: d};
    });
    return best;
  }

  function closest(found) {
    return found.filter(Boolean).sort(function (a, b) { return a.distance - b.distance; })[0];
  }

  function describe(rows) {
    tip.textContent = '';
    add(tip, 'div', rows[0].line.x + ' ' + rows[0].point[2]);
    var table = add(tip, 'table');
    rows.forEach(function (row) {
      var tr = add(table, 'tr'), name = add(tr, 'td');
      add(name, 'i').style.background = 'var(--c' + row.line.color + ')';
      name.appendChild(document.createTextNode(row.line.name));
      add(tr, 'td', row.point[3]);
      if (row.point.length > 5) add(tr, 'td', row.point[4] + ' \u2026 ' + row.point[5]);
    });
  }

  function cross(svg, x) {
    var line = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    line.setAttribute('class', 'cross');
    line.setAttribute('d', 'M' + x + ' 4V' + (svg.viewBox.baseVal.height - 26));
    svg.appendChild(line);
  }

  document.querySelectorAll('svg.tn-svg').forEach(function (svg) {
    var lines = Array.prototype.map.call(svg.querySelectorAll('[data-p]'), read);

    function move(event) {
      hide();
      var mark = event.target.closest('[data-t]');
      if (mark) {
        tip.textContent = mark.dataset.t;
        show(event);
        return;
      }
      var box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      var x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      var best = closest(lines.map(function (line) {
        return nearest(line, function (p) { return line.free ? Math.hypot(p[0] - x, p[1] - y) : Math.abs(p[0] - x); });
      }));
      if (!best || best.distance > (best.line.free ? 24 : 40)) return;
      var rows = [best], at = +best.point[0];
      if (!best.line.free) {
        rows = lines.map(function (line) {
          return line.free ? null : nearest(line, function (p) { return Math.abs(p[0] - at); });
        }).filter(function (row) { return row && row.distance < 6; });
        rows.sort(function (a, b) { return a.point[1] - b.point[1]; });
        cross(svg, at);
      }
      describe(rows);
      show(event);
    }

    svg.addEventListener('pointermove', move);
    svg.addEventListener('pointerdown', move);
    svg.addEventListener('pointerleave', hide);
  });
  addEventListener('scroll', hide, {passive: true});
})();
