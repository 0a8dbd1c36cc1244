# Rscript table_tests.R: writes table_tests.json beside it (Debian: r-cran-jsonlite)
library(jsonlite)
rows <- read.csv("cohort.csv")
one <- function(t) list(statistic = unname(t$statistic), df = unname(t$parameter[1]), p_value = t$p.value)
number <- function(y, g) {
  w <- oneway.test(y ~ g)
  a <- anova(lm(y ~ factor(g)))
  list(
    welch = c(one(w), list(df_residual = unname(w$parameter[2]))),
    anova = list(statistic = a$F[1], df = a$Df[1], df_residual = a$Df[2], p_value = a$"Pr(>F)"[1])
  )
}
smd <- function(y, g) { # tableone's definition, written out: the mean over pairs
  m <- tapply(y, g, mean); v <- tapply(y, g, var); k <- combn(length(m), 2)
  mean(abs(m[k[1, ]] - m[k[2, ]]) / sqrt((v[k[1, ]] + v[k[2, ]]) / 2))
}
smd_levels <- function(x, g) {
  p <- prop.table(table(x, g), 2)[-1, , drop = FALSE]; k <- combn(ncol(p), 2)
  S <- function(q) diag(q, length(q)) - q %o% q
  mean(apply(k, 2, function(at) { d <- p[, at[1]] - p[, at[2]]; sqrt(d %*% solve((S(p[, at[1]]) + S(p[, at[2]])) / 2, d)) }))
}
found <- lapply(list(arm = rows$arm, times = rows$times), function(g) list(
  age = number(rows$age, g), bp = number(rows$bp, g), sex = one(chisq.test(table(rows$sex, g))), gp = NULL,
  third = one(chisq.test(table(cut(rows$age, c(0, 50, 60, 70, 200)), g))),
  smd = list(age = smd(rows$age, g), bp = smd(rows$bp, g), sex = smd_levels(rows$sex, g), third = smd_levels(cut(rows$age, c(0, 50, 60, 70, 200)), g))
))
found$software <- list(R = R.version.string)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "table_tests.json")
