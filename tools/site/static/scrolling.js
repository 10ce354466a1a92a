// Whoever uses the keyboard can scroll the blocks and tables that are wider than the page.
const update = () => {
  for (const box of document.querySelectorAll("pre, .table-wrapper")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", update);
addEventListener("resize", update);
