# R's model matrices of the formulas beside this file: `Rscript regenerate.R`, run in this folder.
# Written with R 4.2.2. One line per column: formula number, column name, values at 17 digits.
suppressWarnings({
  library(splines)
  d <- read.csv("rows.csv", stringsAsFactors = TRUE)
  d$flag <- d$flag == "true"
  d$ward <- as.integer(d$ward)
  out <- file("matrices.txt", "w")
  formulas <- readLines("formulas.txt")
  for (i in seq_along(formulas)) {
    x <- model.matrix(as.formula(gsub("C(", "factor(", formulas[i], fixed = TRUE)), d)
    for (j in seq_len(ncol(x)))
      writeLines(paste(i, colnames(x)[j], paste(formatC(x[, j], digits = 17, format = "g", width = 1), collapse = " "), sep = "\t"), out)
  }
  close(out)
})
