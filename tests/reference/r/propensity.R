# Rscript propensity.R: writes propensity.json beside it (Debian: r-cran-jsonlite). The model, scores by arm, balance.
library(jsonlite)
rows <- read.csv("survival.csv")
a <- rows$event # as a treatment whose scores spread
fit <- glm(a ~ age + x + time, binomial, rows, control = glm.control(epsilon = 1e-15, maxit = 100))
e <- fitted(fit); X <- model.matrix(fit) # errors at the end of the fit: vcov() is one step behind
bins <- findInterval(e, (1:15) / 16)
smd <- function(v, w) (weighted.mean(v[a == 1], w[a == 1]) - weighted.mean(v[a == 0], w[a == 0])) / sqrt((var(v[a == 1]) + var(v[a == 0])) / 2)
told <- function(w) list(
  ess = c(sum(w[a == 1])^2 / sum(w[a == 1]^2), sum(w[a == 0])^2 / sum(w[a == 0]^2)),
  before = sapply(rows[c("age", "x", "time")], smd, w = rep(1, nrow(rows))), after = sapply(rows[c("age", "x", "time")], smd, w = w))
write(toJSON(list(
  software = list(R = R.version.string), estimate = unname(coef(fit)), std_error = unname(sqrt(diag(solve(t(X) %*% (e * (1 - e) * X))))),
  deviance = fit$deviance, null_deviance = fit$null.deviance, treated = tabulate(bins[a == 1] + 1, 16), control = tabulate(bins[a == 0] + 1, 16),
  ATE = told(a / e + (1 - a) / (1 - e)), ATT = told(a + (1 - a) * e / (1 - e)), ATO = told(a * (1 - e) + (1 - a) * e)
), digits = 17, auto_unbox = TRUE), "propensity.json")
