// The menu on a phone, in one row that scrolls: it begins with the page that is open, and fades where it goes on.

const NEAR = 2; // pixels

export function menu() {
  const nav = document.querySelector("header.bar nav");
  if (!nav) return;
  const show = () => {
    nav.classList.toggle("from-start", nav.scrollLeft > NEAR);
    nav.classList.toggle("at-end", nav.scrollLeft + nav.clientWidth >= nav.scrollWidth - NEAR);
  };
  const current = nav.querySelector("[aria-current]");
  if (current) nav.scrollLeft = current.offsetLeft - nav.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;
  nav.addEventListener("scroll", show, { passive: true });
  window.addEventListener("resize", show);
  show();
}
