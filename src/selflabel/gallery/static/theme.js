// Runs before anything is painted: sets the theme that was last chosen here, or else the system's.
document.documentElement.style.colorScheme = localStorage.getItem("theme") || "light dark";
