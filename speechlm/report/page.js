"use strict";
// Light and dark, and tables that are sorted by a click on a column's head.

(function theme() {
  const button = document.getElementById("theme");
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
  });
})();

(function tables() {
  const worth = (cell) => {
    const text = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(text.replace(/[\s,%]/g, ""));
    return text !== "" && Number.isFinite(number) ? number : null;
  };

  function sort(table, column, way) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, text: row.cells[column].textContent, number: worth(row.cells[column]) }));
    const numeric = rows.some((one) => one.number !== null);
    rows.sort((a, b) => {
      if (!numeric) return way * a.text.localeCompare(b.text);
      if (a.number === null || b.number === null) return (a.number === null) - (b.number === null); // unknown goes last
      return way * (a.number - b.number);
    });
    body.append(...rows.map((one) => one.row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const first = head.classList.contains("num") ? "descending" : "ascending"; // the largest number is asked for first
        const order = before === null ? first : before === "ascending" ? "descending" : "ascending";
        for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", order);
        sort(table, column, order === "ascending" ? 1 : -1);
      });
    });
  }
})();
