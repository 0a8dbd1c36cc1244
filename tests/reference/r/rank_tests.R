# Rscript rank_tests.R: writes rank_tests.json beside it (Debian: r-cran-jsonlite)
library(jsonlite)
rows <- read.csv("cohort.csv")
rows$third <- cut(rows$age, c(0, 50, 60, 70, 200), labels = c("a", "b", "c", "d"))
rho <- function(x, y) { t <- cor.test(x, y, method = "spearman", exact = FALSE); list(estimate = unname(t$estimate), p_value = t$p.value) }
between <- function(x, g) { t <- kruskal.test(x, factor(g)); list(statistic = unname(t$statistic), df = unname(t$parameter), p_value = t$p.value) }
found <- list(
  age_bp = rho(rows$age, rows$bp), age_times = rho(rows$age, rows$times), bp_times = rho(rows$bp, rows$times),
  bp_by_third = between(rows$bp, rows$third), times_by_arm = between(rows$times, rows$arm),
  wilcox = unname(wilcox.test(times ~ arm, rows, correct = FALSE, exact = FALSE)$p.value),
  mean_rank = as.list(tapply(rank(rows$bp), rows$third, mean)), software = list(R = R.version.string)
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "rank_tests.json")
