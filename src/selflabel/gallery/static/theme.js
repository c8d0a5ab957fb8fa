// Before anything is painted: the theme that was chosen here last; without a choice, the system's.
document.documentElement.style.colorScheme = localStorage.getItem("theme") || "light dark";
