import { byId } from "./dom.ts";

const KEY = "subspan-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = (): boolean =>
  (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

/** Light or dark as the system says, or as the person last chose. `onChange` redraws what is not CSS. */
export function startTheme(onChange: () => void): void {
  const button = byId("theme", HTMLButtonElement);
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
    onChange();
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem(KEY, document.documentElement.dataset.theme);
    } catch {
      // Without storage the choice lasts as long as the page: no reason to bother anybody.
    }
    show();
  });
  dark.addEventListener("change", show);
  show();
}
