# Rscript splines.R: writes splines.json beside it (Debian: r-cran-survival, r-cran-jsonlite; splines comes with R)
library(splines)
library(survival)
library(jsonlite)
rows <- read.csv("cohort.csv")
survived <- read.csv("survival.csv")
tight <- glm.control(epsilon = 1e-15, maxit = 100)
models <- list(
  bs = list("bp ~ bs(age, knots = c(45, 60), Boundary.knots = c(0, 120)) + arm", gaussian()),
  ns = list("ill ~ ns(age, knots = c(45, 60), Boundary.knots = c(35, 75)) + dose", binomial()),
  linear = list("visits ~ bs(age, knots = c(50), Boundary.knots = c(0, 120), degree = 1) + sex", poisson()),
  bs_factor = list("bp ~ bs(age, knots = c(50), Boundary.knots = c(0, 120), degree = 2) * sex", gaussian()),
  ns_factor = list("ill ~ ns(age, knots = c(45, 60), Boundary.knots = c(35, 75)) * sex + arm", binomial()),
  ns_number = list("visits ~ ns(age, knots = c(50), Boundary.knots = c(35, 75)):dose + arm", poisson())
)
# R's basis outside the boundary warns of ill-conditioned bases; the columns are those of a polynomial all the same
again <- function(m, start = NULL) suppressWarnings(glm(as.formula(m[[1]]), m[[2]], rows, control = tight, start = start))
fitted <- lapply(models, function(m) again(m, coef(again(m)))) # errors are those of the last step but one: take one more
told <- function(m) list(
  estimate = unname(coef(m)), std_error = unname(sqrt(diag(vcov(m)))),
  deviance = deviance(m), terms = length(coef(m))
)
found <- lapply(fitted, told)
close <- coxph.control(eps = 1e-14, toler.chol = 1e-16, iter.max = 100)
cox <- list(
  cox_bs = "Surv(time, event) ~ bs(age, knots = c(60), Boundary.knots = c(0, 120)) + arm + strata(site)",
  cox_ns = "Surv(time, event) ~ ns(age, knots = c(55, 65), Boundary.knots = c(40, 85)) * arm + strata(site)"
)
found <- c(found, lapply(cox, function(f) {
  m <- suppressWarnings(coxph(as.formula(f), survived, control = close))
  list(estimate = unname(coef(m)), std_error = unname(sqrt(diag(vcov(m)))), loglik = m$loglik[2])
}))
found$software <- list(R = R.version.string, survival = as.character(packageVersion("survival")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "splines.json")
