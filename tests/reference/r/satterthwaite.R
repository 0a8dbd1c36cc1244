# Rscript satterthwaite.R: writes satterthwaite.json beside it (Debian: r-cran-lmertest, r-cran-jsonlite)
# lmerTest differentiates numerically, about where lmer's optimiser stopped: `package` is its answer. `exact` is the same
# definition (df = 2 c^2 / g'Ag, Kuznetsova et al. 2017) from lme4's own sums at theta polished by Newton steps, with
# derivatives by theta and sigma from fourth-order differences.
suppressMessages(library(lmerTest))
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)

gradient <- function(f, x, h = 1e-3) {
  parts <- lapply(seq_along(x), function(i) {
    at <- function(k) { x[i] <- x[i] + k * h; f(x) }
    (at(-2) - 8 * at(-1) + 8 * at(1) - at(2)) / (12 * h)
  })
  do.call(cbind, lapply(parts, as.vector))
}
hessian <- function(f, x) gradient(function(y) gradient(f, y), x)
answer <- function(form, reml) {
  fit <- suppressWarnings(lmer(form, rows, REML = reml, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9))))
  deviance <- lme4::lmer(form, rows, REML = reml, devFunOnly = TRUE)
  env <- environment(deviance)
  theta <- getME(fit, "theta")
  for (k in 1:10) theta <- theta - solve(hessian(deviance, theta), as.vector(gradient(deviance, theta)))
  deviance(theta)
  beta <- env$pp$beta(1)
  degrees <- nrow(rows) - if (reml) length(beta) else 0
  sigma <- sqrt((env$resp$wrss() + env$pp$sqrL(1)) / degrees)
  inverse <- function(theta) { deviance(theta); env$pp$unsc() }
  # the deviance of (theta, sigma): its profile and what sigma adds
  whole <- function(v) {
    th <- v[-length(v)]; s <- v[length(v)]
    d <- deviance(th)
    rest <- env$resp$wrss() + env$pp$sqrL(1)
    d - degrees * (1 + log(rest / degrees)) + degrees * log(s^2) + rest / s^2
  }
  v <- c(theta, sigma)
  A <- 2 * solve(hessian(whole, v))
  covariance <- function(v) v[length(v)]^2 * inverse(v[-length(v)])
  J <- gradient(covariance, v)
  df <- function(l) {
    c0 <- as.numeric(t(l) %*% covariance(v) %*% l)
    g <- apply(J, 2, function(j) as.numeric(t(l) %*% matrix(j, length(l)) %*% l))
    2 * c0^2 / as.numeric(t(g) %*% A %*% g)
  }
  eye <- diag(length(beta))
  L <- eye[(length(beta) - 1):length(beta), ]
  V <- covariance(v)
  e <- eigen(L %*% V %*% t(L)); PL <- t(e$vectors) %*% L
  nu <- apply(PL, 1, df)
  E <- sum(nu / (nu - 2))
  joint <- if (max(abs(diff(nu))) < 1e-8) mean(nu) else 2 * E / (E - length(nu))
  statistic <- mean(as.vector(PL %*% beta)^2 / e$values)
  table <- coef(summary(fit))
  both <- contest(fit, L)
  one <- contest(fit, L[1, ] - L[2, ], joint = FALSE)
  list(
    exact = list(df = apply(eye, 2, df), contrast = df(L[1, ] - L[2, ]), statistic = statistic, df_residual = joint),
    package = list(df = unname(table[, "df"]), p = unname(table[, "Pr(>|t|)"]), contrast = one$df, statistic = both[["F value"]], df_residual = both$DenDF)
  )
}
both <- function(form) list(reml = answer(form, TRUE), ml = answer(form, FALSE))
found <- list(
  software = list(R = R.version.string, lme4 = as.character(packageVersion("lme4")), lmerTest = as.character(packageVersion("lmerTest"))),
  intercept = both(y ~ age + arm + day + (1 | ward)),
  slope = both(y ~ age + arm + day + (1 + day | ward)),
  site = both(y ~ age + arm + (1 | site))
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "satterthwaite.json")
