"""The rounds told on one page: counts and joins (tables), pictures and curves (figures), HTML (page)."""
