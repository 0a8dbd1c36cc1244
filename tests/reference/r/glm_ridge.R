# Rscript glm_ridge.R: writes glm_ridge.json beside it (Debian: r-cran-glmnet, r-cran-jsonlite)
# glmnet's ridge solution; errors, effective degrees of freedom and dispersion from their formulas at it.
library(glmnet)
library(jsonlite)
glmnet.control(fdev = 0, devmax = 1, epsnr = 1e-16, mxitnr = 20000)
rows <- read.csv("cohort.csv")
rows$rate <- log(rows$years)
rows$twice <- 2 * rows$age
rows$apart <- ifelse(rows$ill == 1, 2 + rows$dose / 10, rows$dose / 10)
told <- function(f, y, family, lambda, w = rep(1, nrow(rows)), o = rep(0, nrow(rows)), data = rows, known = family) {
  X <- model.matrix(as.formula(f), data)
  fit <- glmnet(X[, -1], y, known, alpha = 0, lambda = lambda, weights = w, offset = o, thresh = 1e-22, maxit = 1e7)
  b <- c(as.numeric(fit$a0), as.numeric(fit$beta))
  share <- w / sum(w)
  spread <- apply(X[, -1, drop = FALSE], 2, function(x) sum(share * (x - sum(share * x))^2))
  gaussian <- family$family == "gaussian"
  unit <- if (gaussian) sqrt(sum(share * (y - o - sum(share * (y - o)))^2)) else 1
  P <- diag(c(0, sum(w) * lambda / unit * spread))
  for (i in 1:20) { # Fisher scoring from glmnet's answer: it must stay where it is
    eta <- drop(X %*% b) + o
    mu <- family$linkinv(eta)
    v <- w * family$mu.eta(eta)^2 / family$variance(mu)
    r <- w * (y - mu) * family$mu.eta(eta) / family$variance(mu)
    I <- crossprod(X, X * v)
    b <- b + drop(solve(I + P, crossprod(X, r) - P %*% b))
  }
  stopifnot(max(abs(b - c(as.numeric(fit$a0), as.numeric(fit$beta))) / sqrt(diag(solve(I + P)))) < 1e-7)
  A <- solve(I + P)
  edf <- sum(diag(I %*% A))
  estimated <- !family$family %in% c("binomial", "poisson")
  phi <- if (estimated) sum(w * (y - mu)^2 / family$variance(mu)) / (nrow(X) - edf) else 1
  root <- function(V) unname(sqrt(diag(V)))
  h <- rowSums((X %*% A) * X) * v
  meat <- function(k) A %*% crossprod(X * r / (1 - h)^(k / 2)) %*% A
  S <- rowsum(X * r, data$gp)
  list(
    lambda = lambda, estimate = unname(b), glmnet = c(as.numeric(fit$a0), as.numeric(fit$beta)), std_error = root(A %*% I %*% A * phi), df = edf, dispersion = phi,
    deviance = sum(family$dev.resids(y, mu, w)), HC0 = root(meat(0)), HC1 = root(meat(0)) * sqrt(nrow(X) / (nrow(X) - edf)),
    HC2 = root(meat(1)), HC3 = root(meat(2)), cluster = root(A %*% crossprod(S) %*% A)
  )
}
all <- "~ age + dose + arm + sex"
found <- list(
  gaussian = told(all, rows$bp, gaussian(), 1.5, known = "gaussian"),
  gaussian_weights = told(all, rows$bp, gaussian(), 1.5, rows$w, known = "gaussian"),
  gaussian_offset = told(all, rows$bp, gaussian(), 0.4, o = rows$rate, known = "gaussian"),
  logit = told(all, rows$ill, binomial(), 0.05, known = "binomial"),
  logit_weights = told(all, rows$ill, binomial(), 0.05, rows$w, known = binomial()),
  logit_offset = told(all, rows$ill, binomial(), 0.02, o = rows$rate, known = "binomial"),
  probit = told(all, rows$ill, binomial("probit"), 0.05),
  cloglog = told(all, rows$ill, binomial("cloglog"), 0.05),
  poisson = told(all, rows$visits, poisson(), 0.1, o = rows$rate, known = "poisson"),
  gamma_log = told(all, rows$cost, Gamma("log"), 0.1),
  inverse_gaussian_log = told(all, rows$cost, inverse.gaussian("log"), 0.001),
  collinear = told("~ age + twice + arm", rows$ill, binomial(), 0.05, known = "binomial"),
  interaction = told("~ age * arm", rows$visits, poisson(), 0.1, known = "poisson"),
  separated = told("~ age + apart", rows$ill, binomial(), 0.01, known = "binomial")
)
found$software <- list(R = R.version.string, glmnet = as.character(packageVersion("glmnet")))
write(toJSON(found, digits = 17, auto_unbox = TRUE), "glm_ridge.json")
